import pytest
import torch
from runs import tiny_module

from pixelbayes.images.pixels import to_x
from pixelbayes.inference.all_classes import ExpandOverClasses, expand
from pixelbayes.models.fusion import Condition
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule
from pixelbayes.utils import compile as module
from pixelbayes.utils.run_folder import RunFolder


@pytest.fixture
def no_compiler(monkeypatch):
    """Simulates a machine where compiling fails."""

    def fail(*_, **__):
        raise RuntimeError("no C++ compiler found\nand more")

    monkeypatch.setattr(torch, "compile", fail)
    module._compiler_fault.cache_clear()
    yield
    module._compiler_fault.cache_clear()


def weights(run):
    state = torch.load(RunFolder(run).resume, weights_only=False)["state_dict"]
    return {name: weight for name, weight in state.items() if name.startswith("network.")}


def shallow(network, batch, key):
    """log p(x) over all classes by one block per stack, with dropout: compiling the whole network takes minutes."""
    x, images = to_x(batch.pixels, 5, torch.float64), len(batch.pixels)
    condition = Condition(torch.arange(3).repeat(images), labels_per_image=3)
    with ExpandOverClasses(images, 3):
        features = network.fusion.prepare(condition)
        _, h = network.run_pair(network.down[0][0], network.stem(x, features), features, key)
        params = network.head(h, None, features)
    log_prob = network.likelihood(params).log_prob(expand(x, 3 * images)).sum(dim=(1, 2)).view(images, 3)
    return bits_per_dim(-log_prob.logsumexp(dim=1), network.config.image_shape.dims).mean()


@pytest.mark.slow
def test_compiled_steps_train_like_uncompiled_ones_and_resume_bit_for_bit(tmp_path, monkeypatch):
    class PowerCutError(Exception):
        pass

    fit(tiny_module(shallow), tmp_path / "uncompiled")
    fit(tiny_module(shallow, compile=True), tmp_path / "compiled")
    uncompiled, compiled = weights(tmp_path / "uncompiled"), weights(tmp_path / "compiled")
    torch.testing.assert_close(compiled, uncompiled)  # the names, too
    assert any(not torch.equal(compiled[name], uncompiled[name]) for name in uncompiled)  # rounding shows compilation

    with monkeypatch.context() as patch:
        loss = TrainingModule.loss

        def cut(self, index):
            if self.global_step == 4:  # during the second epoch
                raise PowerCutError
            return loss(self, index)

        patch.setattr(TrainingModule, "loss", cut)
        with pytest.raises(PowerCutError):
            fit(tiny_module(shallow, compile=True, checkpoint_minutes=0.0), tmp_path / "cut")
    fit(tiny_module(shallow, compile=True), tmp_path / "cut")
    assert all(torch.equal(weight, compiled[name]) for name, weight in weights(tmp_path / "cut").items())


def test_only_complete_batches_are_compiled(tmp_path, monkeypatch):
    sizes = []

    def record_sizes(function, **_):
        def recorded(network, batch, key):
            sizes.append(len(batch.pixels))
            return function(network, batch, key)

        return recorded

    monkeypatch.setattr(module, "_compiler_fault", lambda device_type: "")
    monkeypatch.setattr(torch, "compile", record_sizes)
    fit(tiny_module(compile=True, epochs=1), tmp_path)
    assert sizes == [4, 4]  # and the last batch, of 2 images, runs uncompiled


def test_without_a_compiler_training_warns_and_continues_uncompiled(tmp_path, no_compiler):
    with pytest.warns(UserWarning, match=r"training continues uncompiled: no C\+\+ compiler found$"):
        fit(tiny_module(compile=True, epochs=1), tmp_path / "without")
    fit(tiny_module(epochs=1), tmp_path / "uncompiled")
    torch.testing.assert_close(weights(tmp_path / "without"), weights(tmp_path / "uncompiled"), rtol=0, atol=0)


def test_without_a_compiler_a_function_warns_once_and_runs_uncompiled(no_compiler):
    function = module.CompiledFunction(lambda x, label: x + label, freeze=False)
    with pytest.warns(RuntimeWarning, match=r"scoring goes on without compiling, more slowly \(no C\+\+ compiler"):
        assert function(torch.tensor(1), torch.tensor(2)) == 3
    assert function(torch.tensor(2), torch.tensor(3)) == 5
