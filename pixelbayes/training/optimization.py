"""What one chooses of the training of any network."""

import math
from dataclasses import dataclass
from typing import Literal

from pixelbayes.utils.errors import InputError


@dataclass(frozen=True, kw_only=True)
class OptimizationConfig:
    """How weights are found, whatever they are for."""

    epochs: int = 100  # passes over the training images
    max_seconds: float = 0.0  # training ends with the epoch in which this time is over; 0 for no limit
    batch_size: int = 16  # images in a step
    optimizer: Literal["adam", "adamw"] = "adam"  # adamw for weight_decay
    learning_rate: float = 1e-3  # at its highest
    weight_decay: float = 0.0  # of AdamW, decoupled; Adam takes none
    schedule: Literal["exponential", "cosine", "constant"] = "cosine"  # of the learning rate, after warm-up
    learning_rate_decay: float = 0.999995  # exponential: the factor applied once per epoch
    warmup_steps: int = 100  # steps in which the learning rate rises linearly from 0
    gradient_clip: float = 1.0  # largest norm of the gradient; 0 for no limit
    ema_decay: float = 0.999  # of the exponential moving average that is validated, sampled and saved; 0 for none
    precision: Literal["float32", "bf16", "float64"] = "float32"  # of the network; the likelihood has float32 at least
    device: str = "auto"  # auto, cpu, cuda or mps
    select_by: str = "accuracy"  # what the best epoch is best at, on validation
    checkpoint_minutes: float = 10.0  # at most this much training is lost to a crash within an epoch
    logger: Literal["tensorboard", "wandb", "none"] = "tensorboard"  # besides history.csv

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("max_seconds", "warmup_steps", "weight_decay", "gradient_clip", "checkpoint_minutes"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate is {self.learning_rate}, expected a number above 0")
        if not 0 < self.learning_rate_decay <= 1:
            raise InputError(f"learning_rate_decay is {self.learning_rate_decay}, expected above 0 and at most 1")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"ema_decay is {self.ema_decay}, expected at least 0 and below 1")
        if self.weight_decay and self.optimizer == "adam":
            raise InputError("weight_decay needs the optimizer adamw; with adam it is not decoupled from the gradient")


@dataclass(frozen=True, kw_only=True)
class ClassifierTrainingConfig(OptimizationConfig):
    """How a classifier is trained."""

    epochs: int = 60  # passes over the training images
    batch_size: int = 64  # images in a step
    optimizer: Literal["adam", "adamw"] = "adamw"  # adam takes no weight_decay
    learning_rate: float = 2e-3  # at its highest
    weight_decay: float = 0.05  # of AdamW, decoupled; Adam takes none
    ema_decay: float = 0.995  # of the exponential moving average that is validated and saved; 0 for none
    label_smoothing: float = 0.1  # share of the target that is spread evenly over all classes
    select_by: Literal["cross_entropy", "accuracy"] = "accuracy"  # what the best epoch is best at, on validation

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing is {self.label_smoothing}, expected at least 0 and below 1")


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
