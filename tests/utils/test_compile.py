import pytest
import torch
from runs import tiny_module

from pixelbayes.images.pixels import to_x
from pixelbayes.models.fusion import Condition
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.training.callbacks import RESUME
from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule
from pixelbayes.utils import compile as compilation


def weights(run):
    state = torch.load(run / RESUME, weights_only=False)["state_dict"]
    return {name: weight for name, weight in state.items() if name.startswith("network.")}


def shallow(network, batch, key):
    """The objective with one block of each stack, dropout included: the whole network compiles for minutes."""
    x = to_x(batch.pixels, 5, torch.float64)
    features = network.fusion.prepare(Condition(batch.label))
    _, h = network.run_pair(network.down[0][0], network.stem(x, features), features, key)
    nll = -network.likelihood(network.to_params(h)).log_prob(x).sum(dim=(1, 2))
    return bits_per_dim(nll, network.config.dims).mean()


@pytest.mark.slow
def test_compiled_steps_train_as_plain_ones_and_go_on_bit_for_bit(tmp_path, monkeypatch):
    class PowerCutError(Exception):
        pass

    fit(tiny_module(shallow), tmp_path / "plain", {})
    fit(tiny_module(shallow, compile=True), tmp_path / "compiled", {})
    plain, compiled = weights(tmp_path / "plain"), weights(tmp_path / "compiled")
    torch.testing.assert_close(compiled, plain)  # the names as well
    assert any(not torch.equal(compiled[name], plain[name]) for name in plain)  # it was compiled: sums end otherwise

    with monkeypatch.context() as patch:
        loss = TrainingModule.loss

        def cut(self, index):
            if self.global_step == 4:  # in the middle of the second epoch
                raise PowerCutError
            return loss(self, index)

        patch.setattr(TrainingModule, "loss", cut)
        with pytest.raises(PowerCutError):
            fit(tiny_module(shallow, compile=True, checkpoint_minutes=0.0), tmp_path / "cut", {})
    fit(tiny_module(shallow, compile=True), tmp_path / "cut", {})
    assert all(torch.equal(weight, compiled[name]) for name, weight in weights(tmp_path / "cut").items())


def test_only_whole_batches_are_compiled(tmp_path, monkeypatch):
    sizes = []

    def noting(function, **_):
        def noted(network, batch, key):
            sizes.append(len(batch.pixels))
            return function(network, batch, key)

        return noted

    monkeypatch.setattr(compilation, "_fault", lambda device_type: "")
    monkeypatch.setattr(compilation.torch, "compile", noting)
    fit(tiny_module(compile=True, epochs=1), tmp_path, {})
    assert sizes == [4, 4]  # and 2 as they are


def test_without_a_compiler_a_warning_says_so_and_training_goes_on(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no C++ compiler found\nand more")

    monkeypatch.setattr(compilation.torch, "compile", fail)
    compilation._fault.cache_clear()
    with pytest.warns(UserWarning, match=r"goes on without it: no C\+\+ compiler found$"):
        fit(tiny_module(compile=True), tmp_path / "without", {})
    compilation._fault.cache_clear()
    fit(tiny_module(), tmp_path / "plain", {})
    torch.testing.assert_close(weights(tmp_path / "without"), weights(tmp_path / "plain"), rtol=0, atol=0)
