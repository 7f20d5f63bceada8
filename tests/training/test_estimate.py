import pytest
import torch
from networks import tiny_model
from runs import tiny_images

from pixelbayes.training import TrainingConfig
from pixelbayes.training.estimate import estimate
from pixelbayes.training.objectives import HybridLoss


@pytest.mark.parametrize("batches", [{"batch_size": 4}, {"batch_size": 2, "accumulate_grad_batches": 2}])
def test_an_estimate_counts_parameters_images_and_steps_and_changes_nothing(batches, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = tiny_model().float()
    before = [weight.detach().clone() for weight in network.parameters()]
    found = estimate(network, TrainingConfig(epochs=7, device="cpu", **batches), tiny_images())
    assert found["parameters"] == f"{sum(weight.numel() for weight in before):,}"
    assert found["images"] == "10 for training, 5 for validation, 3 classes"
    assert found["step"].endswith("ms for 4 images")
    assert ": 3 steps and validation" in found["epoch"]
    assert found["run"].endswith("minutes: 7 epochs")
    assert float(found["memory"].split()[0]) > 0
    assert all(map(torch.equal, network.parameters(), before))
    assert list(tmp_path.iterdir()) == []


def test_an_estimate_measures_the_objective_of_the_config(monkeypatch):
    passes, forward = [], HybridLoss.forward
    monkeypatch.setattr(HybridLoss, "forward", lambda self, *inputs: passes.append(1) or forward(self, *inputs))
    hybrid = TrainingConfig(epochs=7, batch_size=4, classification_weight=1.0, classification_start=0.75, device="cpu")
    found = estimate(tiny_model().float(), hybrid, tiny_images())
    assert passes
    assert ": 7 epochs, 5 of them with " in found["run"]
