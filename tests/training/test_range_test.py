import signal
import tempfile

import pytest
import torch
from networks import tiny_model
from runs import sending, tiny_module

from pixelbayes.training import range_test as testing
from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule
from pixelbayes.training.objectives import HybridLoss
from pixelbayes.training.range_test import DECADES, range_test
from pixelbayes.utils.errors import InputError, InterruptedRunError


def distance_from_one(network, batch=None, key=None):
    """A loss that takes no time."""
    return sum((weight - 1).square().mean() for weight in network.parameters())


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """Fewer steps than by default, but more than the eleven that are not taken into account."""
    monkeypatch.setattr(testing, "STEPS", 16)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_all_rates_grow_together_and_the_loss_stays_that_of_the_first_epoch(monkeypatch):
    rates = []

    def likelihood_only(objective, network, batch, key):
        rates.append([group["lr"] for group in module.trainer.optimizers[0].param_groups])
        return distance_from_one(network) + 0 * objective.log_temperature

    monkeypatch.setattr(HybridLoss, "likelihood_only", likelihood_only)
    monkeypatch.setattr(HybridLoss, "forward", None)  # the loss of the second epoch
    monkeypatch.setattr(TrainingModule, "validation_step", lambda module, index, _: pytest.fail("validation"))
    settings = {"classification_weight": 1.0, "classification_start": 0.5, "optimizer": "muon"}
    module = tiny_module(network=tiny_model(num_filters=16), muon_learning_rate=0.05, **settings)
    factor, rows = range_test(module)
    tried = [row["learning_rate"] for row in rows]
    assert (tried[0], tried[-1]) == pytest.approx((0.02 / 10**DECADES, 0.02 * 10**DECADES))
    assert len(tried) == testing.STEPS
    assert 0.02 * factor in [pytest.approx(rate) for rate in tried]
    *matrices, others, temperature = zip(*rates, strict=True)
    assert matrices
    for group, own in ((others, 0.02), (temperature, 0.02), *((group, 0.05) for group in matrices)):
        torch.testing.assert_close(torch.tensor(group), torch.tensor(tried) * own / 0.02)


def test_the_loss_of_a_step_is_that_of_all_its_images_in_the_order_of_the_run(tmp_path, monkeypatch):
    training_step, returned, found = TrainingModule.training_step, [], []

    def recorded(module, index, batch_idx):
        returned.append(training_step(module, index, batch_idx))
        return returned[-1]

    monkeypatch.setattr(TrainingModule, "training_step", recorded)
    for passes in ({"batch_size": 4}, {"batch_size": 2, "accumulate_grad_batches": 2}):
        seen = []

        def objective(network, batch, key, seen=seen):
            seen.append(batch.pixels)
            return distance_from_one(network) + batch.pixels.double().mean()

        _, rows = range_test(tiny_module(objective, **passes))
        in_test = torch.cat(seen)
        found.append([row["loss"] for row in rows])
        assert [loss.item() for loss in returned] == pytest.approx(found[-1])  # what Lightning smoothes
        seen.clear()
        fit(tiny_module(objective, epochs=3, **passes), tmp_path / f"{len(found)}")
        in_run = torch.cat(seen)
        assert torch.equal(in_test[: len(in_run)], in_run)
        returned.clear()
    assert found[0] == pytest.approx(found[1])


def test_a_test_leaves_no_file_and_no_random_state(temporary):
    state, before = torch.get_rng_state(), signal.getsignal(signal.SIGTERM)
    range_test(tiny_module(distance_from_one))
    assert torch.equal(torch.get_rng_state(), state)
    assert signal.getsignal(signal.SIGTERM) is before
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_test(number, temporary):
    with pytest.raises(InterruptedRunError, match="stopped before the first step of training"):
        range_test(tiny_module(sending(number)))
    assert list(temporary.iterdir()) == []


def test_rates_at_which_the_loss_is_not_finite_end_the_test_and_too_few_others_are_refused():
    def objective(network, batch, key):
        steps.append(module.trainer.optimizers[0].param_groups[0]["lr"])
        return distance_from_one(network) * (float("nan") if len(steps) > finite else 1.0)

    for finite in (14, 10):
        steps = []
        module = tiny_module(objective)
        if finite == 14:
            assert [row["learning_rate"] for row in range_test(module)[1]] == pytest.approx(steps)
        else:
            with pytest.raises(InputError, match=r"finite in only 10 of 16 steps, .* lower learning_rate .* than 0.02"):
                range_test(module)
        assert len(steps) == finite + 1
