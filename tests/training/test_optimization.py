import pytest
from runs import tiny_module

from pixelbayes.training import TrainingConfig
from pixelbayes.training.fit import fit
from pixelbayes.training.objectives import generative
from pixelbayes.training.optimization import learning_rate_factor


def factors(steps, steps_per_epoch, **changes):
    config = TrainingConfig(**({"warmup_steps": 0} | changes))
    return [learning_rate_factor(config, step, steps_per_epoch) for step in range(steps)]


def test_exponential_decays_once_an_epoch():
    assert factors(6, 2, schedule="exponential", learning_rate_decay=0.5) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_cosine_falls_from_one_to_nothing_over_all_steps():
    half = 0.5**0.5
    expected = [1, (1 + half) / 2, 0.5, (1 - half) / 2]  # (1 + cos(pi step / 4)) / 2
    assert factors(4, 2, schedule="cosine", epochs=2) == pytest.approx(expected)


def test_constant_stays():
    assert factors(3, 1, schedule="constant") == [1, 1, 1]


@pytest.mark.parametrize("schedule", ["exponential", "cosine", "constant"])
def test_warm_up_rises_linearly_and_multiplies_the_schedule(schedule):
    plain = factors(6, 2, schedule=schedule, epochs=3)
    warm = factors(6, 2, schedule=schedule, epochs=3, warmup_steps=4)
    ratios = [w / p for w, p in zip(warm, plain, strict=True)]
    assert ratios == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_the_optimizer_uses_the_schedule_at_every_step(tmp_path):
    rates = []

    def objective(network, batch, key):
        rates.append(module.trainer.optimizers[0].param_groups[0]["lr"])
        return generative(network, batch, key)

    module = tiny_module(objective, schedule="exponential", learning_rate_decay=0.5, warmup_steps=2, learning_rate=0.1)
    history = fit(module, tmp_path, {})
    assert rates == pytest.approx([0.05, 0.1, 0.1, 0.05, 0.05, 0.05])  # 3 steps an epoch
    assert [row["learning_rate"] for row in history] == pytest.approx([0.1, 0.05])  # the epoch's last
