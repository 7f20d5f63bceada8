import pytest
import torch
from networks import tiny_model
from runs import tiny_module

from pixelbayes.checkpoints import checkpoint
from pixelbayes.images.pixels import to_x
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.training import callbacks
from pixelbayes.training.ema import ExponentialMovingAverage, warmed_up_decay
from pixelbayes.training.fit import fit
from pixelbayes.training.objectives import likelihood_loss
from pixelbayes.utils.run_folder import RunFolder


def weights(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def test_the_decay_warms_up_from_a_tenth():
    assert [warmed_up_decay(0.25, updates) for updates in range(5)] == [1 / 10, 2 / 11, 3 / 12, 0.25, 0.25]


def test_three_updates_equal_the_average_computed_by_hand():
    network = tiny_model()
    ema = ExponentialMovingAverage(network, decay=0.15)
    bias = network.to_params.bias
    values = []
    for updates, value in enumerate((10.0, 20.0, 30.0)):
        bias.data.fill_(value)  # initially 0
        ema.update(network, updates)
        values.append(ema.module.to_params.bias[0].item())
    first = 0.1 * 0 + 0.9 * 10
    second = 0.15 * first + 0.85 * 20  # 2 / 11 is larger than the decay
    assert values == pytest.approx([first, second, 0.15 * second + 0.85 * 30])


def test_floating_point_buffers_are_averaged_and_other_buffers_are_copied():
    network = torch.nn.BatchNorm1d(2)
    ema = ExponentialMovingAverage(network, decay=0.5)
    network.running_mean += 10.0
    network.num_batches_tracked += 7
    ema.update(network, updates=100)
    assert torch.equal(ema.module.running_mean, torch.tensor([5.0, 5.0]))
    assert ema.module.num_batches_tracked == 7


def test_training_averages_the_weights_after_every_step_starting_from_the_initialised_weights(tmp_path):
    before_step = []

    def objective(network, batch, key):
        before_step.append(weights(network))
        return likelihood_loss(network, batch, key)

    module = tiny_module(objective, ema_decay=0.3)
    fit(module, tmp_path)
    average = before_step[0]
    for updates, after in enumerate([*before_step[1:], weights(module.network)]):
        average = torch.lerp(average, after, 1 - min(0.3, (1 + updates) / (10 + updates)))
    assert torch.equal(weights(module.average), average)


def test_with_decay_0_the_average_is_the_network(tmp_path):
    module = tiny_module(ema_decay=0.0, epochs=1)
    fit(module, tmp_path)
    assert torch.equal(weights(module.average), weights(module.network))


def test_the_average_is_validated_sampled_and_saved(tmp_path, monkeypatch):
    sampled = []
    monkeypatch.setattr(
        callbacks, "sample_classes", lambda network, *_: sampled.append(network) or torch.zeros(3, 1, 3, 8, 12)
    )
    module = tiny_module(ema_decay=0.99, sample_every=2)
    (_, last) = fit(module, tmp_path)
    validation = module.data.split("validation")
    x = to_x(validation.pixels, 5, torch.float64)
    average, current = (
        bits_per_dim(-network.log_prob(x, validation.labels), 3 * 8 * 12).mean().item()
        for network in (module.average, module.network)
    )
    assert last["val/bits_per_dim"] == pytest.approx(average, rel=1e-6)
    assert last["val/bits_per_dim"] != pytest.approx(current, rel=1e-3)
    assert sampled == [module.average]
    saved = weights(checkpoint.load(RunFolder(tmp_path).last).network)
    assert torch.equal(saved, weights(module.average).float())
