"""The learning rate as a function of the step."""

import math

from pixelbayes.training.optimization import OptimizationConfig


def learning_rate_factor(config: OptimizationConfig, step: int, steps_per_epoch: int) -> float:
    """The share of `config.learning_rate` at a step: a linear warm-up, times the schedule.

    Args:
        step: Counted from 0.
        steps_per_epoch: Steps in an epoch.

    >>> config = OptimizationConfig(epochs=10, warmup_steps=0, schedule="cosine")
    >>> [round(learning_rate_factor(config, step, 1), 2) for step in (0, 5, 9)]
    [1.0, 0.5, 0.02]
    """
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "exponential":
        return warmup * config.learning_rate_decay ** (step // steps_per_epoch)
    if config.schedule == "cosine":
        return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, step / (config.epochs * steps_per_epoch))))
    return warmup
