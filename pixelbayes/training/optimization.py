"""Optimisation of any network: the config, the optimizer and the learning-rate schedule."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from pixelbayes.training.muon import Muon, matrix_groups
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError, check_fields


@documented
@dataclass(frozen=True, kw_only=True)
class OptimizationConfig:
    """How the weights of a network are optimised.

    Raises:
        InputError: If a value is out of its range.
    """

    epochs: int = 100
    """number of passes over the training images, at least 1"""
    max_seconds: float = 0.0
    """time limit in seconds: training stops after the epoch that reaches it; 0 for no limit"""
    patience: int = 0
    """number of epochs without an improvement of monitor after which training stops; 0 for never; epochs before
    classification_start do not count; the cosine schedule spans all epochs, so a run that stops early does not reach
    its end"""
    batch_size: int = 16
    """number of images per batch, at least 1"""
    optimizer: Literal["adam", "adamw", "muon"] = "adam"
    """optimizer; adamw allows weight_decay; muon orthogonalises the updates of convolutions and uses adamw elsewhere"""
    learning_rate: float = 1e-3
    """peak learning rate, above 0"""
    find_learning_rate: bool = False
    """find learning_rate before the run by a range test, 100 steps with rates from a hundredth of learning_rate to a
    hundred times it; muon_learning_rate keeps its proportion; the run's config has the rates that were found"""
    weight_decay: float = 0.0
    """decoupled weight decay of adamw, also of what muon leaves to it, at least 0"""
    muon_learning_rate: float = 0.02
    """peak learning rate of the convolutions with muon, above 0"""
    muon_weight_decay: float = 0.1
    """decoupled weight decay of the convolutions with muon, at least 0"""
    schedule: Literal["exponential", "cosine", "constant"] = "cosine"
    """learning-rate schedule, multiplied by the warm-up"""
    learning_rate_decay: float = 0.999995
    """factor of the exponential schedule per epoch, above 0 and at most 1"""
    warmup_steps: int = 100
    """number of steps over which the learning rate rises linearly from 0; 0 for no warm-up"""
    gradient_clip: float = 1.0
    """largest norm of the gradient; 0 for no limit"""
    ema_decay: float = 0.999
    """decay of the moving average of the weights, which is validated and saved; 0 saves the weights themselves"""
    precision: Literal["auto", "float32", "bf16", "float64"] = "auto"
    """precision of the network; the likelihood uses at least float32; auto takes the faster of float32 and bf16, as
    measured before a run of at least 1000 steps"""
    device: str = "auto"
    """device to train on: auto, cpu, cuda or mps"""
    monitor: str = "accuracy"
    """validation metric that selects the best epoch"""
    checkpoint_minutes: float = 10.0
    """time between saves of the training state within an epoch, in minutes; 0 saves it after every step"""
    logger: Literal["tensorboard", "wandb", "none"] = "tensorboard"
    """logger of the metrics, in addition to history.csv"""

    def __post_init__(self) -> None:
        decays = ("weight_decay", "muon_weight_decay")
        at_least_0 = ("max_seconds", "patience", "warmup_steps", "gradient_clip", "checkpoint_minutes", *decays)
        check_fields(self, ("epochs", "batch_size"), lambda n: n >= 1, "at least 1")
        check_fields(self, at_least_0, lambda n: n >= 0, "0 or more")
        check_fields(self, ("learning_rate", "muon_learning_rate"), lambda rate: rate > 0, "a number above 0")
        check_fields(self, ("learning_rate_decay",), lambda decay: 0 < decay <= 1, "above 0 and at most 1")
        check_fields(self, ("ema_decay",), lambda decay: 0 <= decay < 1, "at least 0 and below 1")
        if self.weight_decay and self.optimizer == "adam":
            raise InputError(
                f"weight_decay is {self.weight_decay}, expected 0 with optimizer {self.optimizer}; use optimizer adamw"
            )

    @property
    def phase_epochs(self) -> tuple[int, ...]:
        """Number of epochs of each phase of training; the phases have different losses."""
        return (self.epochs,)


def is_time_up(config: OptimizationConfig, rows: Sequence[Mapping[str, float]]) -> bool:
    """Whether the epochs of a history have taken longer than `max_seconds`."""
    return 0 < config.max_seconds < sum(row["seconds"] for row in rows)


def early_ending(config: OptimizationConfig, rows: Sequence[Mapping[str, float]]) -> str:
    """After which epoch a finished run stopped, and why; empty if it trained for all epochs.

    Args:
        config: The settings.
        rows: The history, one row per epoch.

    >>> early_ending(OptimizationConfig(epochs=60, patience=5), [{"seconds": 9.0}] * 12)
    'after epoch 12 of 60, by patience: no improvement of accuracy since epoch 7'
    """
    if len(rows) == config.epochs:
        return ""
    why = "max_seconds"
    if not is_time_up(config, rows):
        why = f"patience: no improvement of {config.monitor} since epoch {len(rows) - config.patience}"
    return f"after epoch {len(rows)} of {config.epochs}, by {why}"


def learning_rate_factor(config: OptimizationConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step, as a fraction of `config.learning_rate`: warm-up times schedule.

    The warm-up is min(1, (step + 1) / warmup_steps). The schedule is learning_rate_decay^epoch (exponential),
    (1 + cos(pi step / steps)) / 2 with `steps` the length of the run (cosine), or 1 (constant).

    Args:
        config: The settings.
        step: Number of steps before this one.
        steps_per_epoch: Number of steps in an epoch.

    >>> config = OptimizationConfig(epochs=10, warmup_steps=0, schedule="cosine")
    >>> [round(learning_rate_factor(config, step, steps_per_epoch=1), 2) for step in (0, 5, 9)]
    [1.0, 0.5, 0.02]
    """
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "exponential":
        return warmup * config.learning_rate_decay ** (step // steps_per_epoch)
    if config.schedule == "cosine":
        return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, step / (config.epochs * steps_per_epoch))))
    return warmup


def network_groups(config: OptimizationConfig, network: nn.Module) -> list[dict[str, Any]]:
    """Parameter groups of a network for `make_optimizer`.

    Args:
        config: The settings.
        network: The network. Its `last_layers`, if it has any, are not updated by Muon.
    """
    if config.optimizer != "muon":
        return [{"params": list(network.parameters())}]
    last = getattr(network, "last_layers", ())
    return matrix_groups(network, last, lr=config.muon_learning_rate, weight_decay=config.muon_weight_decay)


def make_optimizer(
    config: OptimizationConfig, groups: list[dict[str, Any]], device: torch.device
) -> torch.optim.Optimizer:
    """The optimizer of a config for parameter groups on a device."""
    options: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    if config.optimizer == "muon":
        return Muon(groups, **options)
    kind: type[torch.optim.Adam] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind(groups, fused=device.type in ("cpu", "cuda"), **options)
