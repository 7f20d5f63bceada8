import pytest
import torch
from networks import tiny_model
from runs import tiny_module

from pixelbayes.checkpoints import checkpoint
from pixelbayes.images.pixels import to_x
from pixelbayes.training import callbacks
from pixelbayes.training.ema import MovingAverage, average_decay
from pixelbayes.training.fit import fit
from pixelbayes.training.objectives import generative


def test_the_decay_warms_up_from_a_tenth():
    assert [average_decay(0.25, updates) for updates in range(5)] == [1 / 10, 2 / 11, 3 / 12, 0.25, 0.25]


def test_the_average_equals_three_updates_worked_by_hand():
    network = tiny_model()
    average = MovingAverage(network, decay=0.15)
    bias = network.to_params.bias
    values = []
    for updates, value in enumerate((10.0, 20.0, 30.0)):
        bias.data.fill_(value)  # from 0 at the start
        average.update(network, updates)
        values.append(average.module.to_params.bias[0].item())
    first = 0.1 * 0 + 0.9 * 10
    second = 0.15 * first + 0.85 * 20  # 2/11 is beyond the decay
    assert values == pytest.approx([first, second, 0.15 * second + 0.85 * 30])


def weights(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def test_training_averages_the_weights_after_every_step_from_the_initialised_ones_on(tmp_path):
    steps = []  # weights before each step

    def objective(network, batch, key):
        steps.append(weights(network))
        return generative(network, batch, key)

    module = tiny_module(objective, ema_decay=0.3)
    fit(module, tmp_path, {})
    average = steps[0]
    for updates, after in enumerate([*steps[1:], weights(module.network)]):
        decay = min(0.3, (1 + updates) / (10 + updates))
        average = decay * average + (1 - decay) * after
    torch.testing.assert_close(weights(module.average), average)


def test_with_decay_0_the_average_is_the_network(tmp_path):
    module = tiny_module(ema_decay=0.0)
    fit(module, tmp_path, {})
    assert torch.equal(weights(module.average), weights(module.network))


def test_what_is_validated_sampled_and_saved_is_the_average(tmp_path, monkeypatch):
    sampled = []
    monkeypatch.setattr(
        callbacks, "sample_classes", lambda network, *_, **__: sampled.append(network) or torch.zeros(3, 1, 3, 8, 12)
    )
    module = tiny_module(ema_decay=0.99, sample_every=2)
    (_, last) = fit(module, tmp_path, {})
    validation = module.data.split("validation")
    bits = [
        -network.log_prob(to_x(validation.pixels, 5, torch.float64), validation.labels).mean().item()
        / (3 * 8 * 12 * torch.log(torch.tensor(2.0)).item())
        for network in (module.average, module.network)
    ]
    assert last["val/bits_per_dim"] == pytest.approx(bits[0], rel=1e-6)
    assert last["val/bits_per_dim"] != pytest.approx(bits[1], rel=1e-3)
    assert sampled == [module.average]
    saved = weights(checkpoint.load(tmp_path / checkpoint.LAST).network)
    assert torch.equal(saved, weights(module.average).float())
