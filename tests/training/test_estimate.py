import torch
from networks import tiny_model
from runs import tiny_images

from pixelbayes.training import TrainingConfig
from pixelbayes.training.estimate import estimate
from pixelbayes.training.objectives import Hybrid


def test_an_estimate_counts_parameters_images_and_steps_and_leaves_the_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = tiny_model().float()
    before = [weight.detach().clone() for weight in network.parameters()]
    found = estimate(network, TrainingConfig(epochs=7, batch_size=4, device="cpu"), tiny_images())
    assert found["parameters"] == f"{sum(weight.numel() for weight in before):,}"
    assert found["images"] == "10 to train, 5 to validate, 3 classes"
    assert found["a step"].endswith("ms for 4 images")
    assert ", 3 steps and validation" in found["an epoch"]
    assert found["the run"].endswith("minutes, 7 epochs")
    assert float(found["memory"].split()[0]) > 0
    assert all(torch.equal(*pair) for pair in zip(network.parameters(), before, strict=True))
    assert list(tmp_path.iterdir()) == []


def test_an_estimate_is_of_whole_steps_however_many_batches_they_hold():
    config = TrainingConfig(epochs=7, batch_size=2, accumulate=2, device="cpu")
    found = estimate(tiny_model().float(), config, tiny_images())
    assert found["a step"].endswith("ms for 4 images")
    assert ", 3 steps and validation" in found["an epoch"]


def test_an_estimate_is_of_the_objective_that_the_config_chooses(monkeypatch):
    passes, own = [], Hybrid.forward
    monkeypatch.setattr(Hybrid, "forward", lambda self, *inputs: passes.append(1) or own(self, *inputs))
    hybrid = TrainingConfig(epochs=7, batch_size=4, posterior_weight=1.0, posterior_from=0.75, device="cpu")
    found = estimate(tiny_model().float(), hybrid, tiny_images())
    assert passes
    assert ", 7 epochs, 5 of them of " in found["the run"]
