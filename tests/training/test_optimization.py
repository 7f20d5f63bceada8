import pytest
import torch
from runs import tiny_module

from pixelbayes.training import TrainingConfig
from pixelbayes.training.fit import fit
from pixelbayes.training.objectives import likelihood_loss
from pixelbayes.training.optimization import learning_rate_factor


def factors(steps, steps_per_epoch, **changes):
    config = TrainingConfig(**({"warmup_steps": 0} | changes))
    return [learning_rate_factor(config, step, steps_per_epoch) for step in range(steps)]


def test_the_exponential_schedule_decays_once_per_epoch():
    assert factors(6, 2, schedule="exponential", learning_rate_decay=0.5) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_the_cosine_schedule_falls_from_one_to_zero_over_all_steps():
    half = 0.5**0.5
    expected = [1, (1 + half) / 2, 0.5, (1 - half) / 2]  # (1 + cos(pi step / 4)) / 2
    assert factors(4, 2, schedule="cosine", epochs=2) == pytest.approx(expected)


def test_the_constant_schedule_is_one():
    assert factors(3, 1, schedule="constant") == [1, 1, 1]


@pytest.mark.parametrize("schedule", ["exponential", "cosine", "constant"])
def test_the_warm_up_rises_linearly_and_multiplies_the_schedule(schedule):
    without = factors(6, 2, schedule=schedule, epochs=3)
    with_warmup = factors(6, 2, schedule=schedule, epochs=3, warmup_steps=4)
    ratios = [one / other for one, other in zip(with_warmup, without, strict=True)]
    assert ratios == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_the_optimizer_uses_the_scheduled_rate_at_every_step(tmp_path):
    rates = []

    def objective(network, batch, key):
        rates.append(module.trainer.optimizers[0].param_groups[0]["lr"])
        return likelihood_loss(network, batch, key)

    module = tiny_module(objective, schedule="exponential", learning_rate_decay=0.5, warmup_steps=2, learning_rate=0.1)
    history = fit(module, tmp_path)
    assert rates == pytest.approx([0.05, 0.1, 0.1, 0.05, 0.05, 0.05])  # 3 steps per epoch
    assert [row["learning_rate"] for row in history] == pytest.approx([0.1, 0.05])  # of the last step of each epoch


@pytest.mark.parametrize(
    ("name", "kind", "weight_decay"), [("adam", torch.optim.Adam, 0.0), ("adamw", torch.optim.AdamW, 0.1)]
)
def test_adamw_has_decoupled_weight_decay_and_adam_has_none(name, kind, weight_decay):
    optimizer = tiny_module(optimizer=name, weight_decay=weight_decay).configure_optimizers()["optimizer"]
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["weight_decay"] == weight_decay


def test_the_temperature_of_the_hybrid_objective_has_no_weight_decay():
    module = tiny_module(optimizer="adamw", weight_decay=0.1, classification_weight=1.0)
    network, temperature = module.configure_optimizers()["optimizer"].param_groups
    assert (network["weight_decay"], temperature["weight_decay"]) == (0.1, 0.0)
    assert temperature["params"] == [module.objective.log_temperature]
