from dataclasses import replace

import pytest
import torch
from runs import tiny_module

from pixelbayes.training import TrainingConfig
from pixelbayes.training.estimate import Cost, describe, estimate
from pixelbayes.training.objectives import HybridLoss

COST = Cost(
    step_seconds=(2.0, 3.0), steps=10, images_per_step=4, validation_seconds=1.0, grid_seconds=7.0, memory=2.0**30
)


@pytest.mark.parametrize("batches", [{"batch_size": 4}, {"batch_size": 2, "accumulate_grad_batches": 2}])
def test_an_estimate_counts_steps_and_changes_nothing(batches, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = tiny_module(optimizer="muon", weight_decay=0.1, **batches)
    before = [weight.detach().clone() for weight in module.network.parameters()]
    cost = estimate(module)
    assert (cost.steps, cost.images_per_step, len(cost.step_seconds)) == (3, 4, 1)
    assert min(cost.step_seconds[0], cost.validation_seconds, cost.grid_seconds, cost.memory) > 0
    rows = describe(module, cost)
    assert rows["parameters"] == f"{sum(weight.numel() for weight in before):,}"
    assert rows["images"] == "10 for training, 5 for validation, 3 classes"
    assert rows["step"].endswith("ms for 4 images")
    assert ": 3 steps and validation" in rows["epoch"]
    assert all(map(torch.equal, module.network.parameters(), before))
    assert list(tmp_path.iterdir()) == []


def test_an_estimate_measures_each_phase_of_the_run(monkeypatch):
    calls = []
    for name in ("likelihood_only", "forward"):
        original = getattr(HybridLoss, name)
        monkeypatch.setattr(
            HybridLoss, name, lambda *inputs, name=name, original=original: calls.append(name) or original(*inputs)
        )
    module = tiny_module(epochs=7, classification_weight=1.0, classification_start=0.75)
    cost = estimate(module)
    assert calls == sorted(calls, reverse=True)  # first the steps on the likelihood only, then the others
    assert set(calls) == {"likelihood_only", "forward"}
    assert min(cost.step_seconds) > 0
    assert ": 7 epochs, 5 of them with " in describe(module, cost)["run"]


def test_the_time_of_a_run_is_that_of_its_phases_and_sample_grids():
    config = TrainingConfig(epochs=8, classification_weight=1.0, classification_start=0.75, sample_every=3)
    assert COST.training_seconds(config) == 6 * 21 + 2 * 31 + 3 * 7  # grids after epochs 3, 6 and 8
    assert COST.training_seconds(replace(config, sample_every=0, classification_start=0.0)) == 8 * 31
    assert COST.range_test_seconds(config) == 0
    assert COST.range_test_seconds(replace(config, find_learning_rate=True)) == 100 * 2
    assert COST.range_test_seconds(replace(config, find_learning_rate=True, classification_start=0.0)) == 100 * 3
    assert COST.finishing_seconds(views=2) - COST.finishing_seconds() == 3
