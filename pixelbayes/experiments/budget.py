"""Fits a run into a given time: its width, epochs and schedule, and the epochs of its teacher."""

import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pixelbayes.data import ImageData
from pixelbayes.experiments.baseline import classifier_module
from pixelbayes.experiments.config import ExperimentConfig, training_module
from pixelbayes.experiments.plan import fastest, with_fields
from pixelbayes.experiments.teacher import AUTO, teacher_config, untrained_teacher
from pixelbayes.utils.errors import InputError

if TYPE_CHECKING:  # imports Lightning, which takes seconds
    from pixelbayes.training.estimate import Cost

WIDTHS = (16, 24, 32, 40, 48, 64, 80, 96, 128, 160)  # F that a budget chooses from
EPOCHS_WORTH_WIDENING = 40  # a wider network is better only if it is trained for this many epochs
MOST_EPOCHS = 200  # more epochs overfit
TEACHER_SHARE = 0.2  # of the budget, at most
MARGIN = 0.1  # of the budget, for steps that are slower than those measured
AVERAGING_SHARE = 0.05  # of the steps, at most: warm-up and the span of the moving average
WIDTH_EXPONENT = 1.5  # a step takes about F to this power; measured again at the width that is chosen

UNITS = {"s": 1, "m": 60, "h": 3600}

DECIDED = (
    "model.num_filters",
    "training.epochs",
    "training.max_seconds",
    "training.warmup_steps",
    "training.ema_decay",
    "training.teacher_epochs",
)
"""The fields that a budget decides."""


def parse_duration(text: str) -> float:
    """A duration in seconds.

    Raises:
        InputError: If the text is not a positive number with a unit.

    >>> parse_duration("30m"), parse_duration("1.5h")
    (1800.0, 5400.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if not found or not float(found[1]):
        raise InputError(f"budget is {text!r}, expected a duration such as 45m or 4h")
    return float(found[1]) * UNITS[found[2]]


@dataclass(frozen=True)
class Budget:
    """The time that a run may take.

    Args:
        seconds: The time from the measurement to the report.
        fixed: Fields, by dotted name, that are kept as the config has them.
    """

    seconds: float
    fixed: Collection[str] = ()

    def fit(self, config: ExperimentConfig, data: ImageData) -> ExperimentConfig:
        """Measures this machine, and returns the config of a run that ends in time.

        Width and epochs grow with the budget: the network is the widest one that can be trained for
        EPOCHS_WORTH_WIDENING epochs. Warm-up and moving average span at most AVERAGING_SHARE of the steps. A teacher
        that is trained first has TEACHER_SHARE of the time. If steps turn out slower than measured, the run stops after
        the last epoch that fits.

        Raises:
            InputError: If not even one epoch fits.
        """
        from pixelbayes.training.estimate import estimate

        started = time.monotonic()
        make_module = partial(training_module, data=data, teacher=untrained_teacher(config, data))
        config, cost = fastest(config, make_module, self.seconds)
        available = (1 - MARGIN) * self.seconds
        if AUTO in config.training.teacher:
            config, seconds = self._fit_teacher(config, data)
            available -= seconds
        width = widest(config, cost, available)
        if "model.num_filters" not in self.fixed and width != config.model.num_filters:
            config = with_fields(config, {"model.num_filters": width})
            cost = estimate(make_module(config))
        available -= time.monotonic() - started
        available -= cost.range_test_seconds(config.training) + cost.finishing_seconds(config.model.views)
        return self._fit_epochs(config, cost, available)

    def _fit_teacher(self, config: ExperimentConfig, data: ImageData) -> tuple[ExperimentConfig, float]:
        """The config with the epochs of its teacher, and the seconds that they take."""
        from pixelbayes.training.estimate import estimate

        own = teacher_config(config)
        cost = estimate(classifier_module(own, data))
        epochs = own.training.epochs
        if "training.teacher_epochs" not in self.fixed:
            affordable = (TEACHER_SHARE * self.seconds - cost.finishing_seconds()) / cost.epoch_seconds()[0]
            epochs = max(1, min(epochs, int(affordable)))
        config = with_fields(config, {"training.teacher_epochs": epochs})
        return config, cost.training_seconds(teacher_config(config).training) + cost.finishing_seconds()

    def _fit_epochs(self, config: ExperimentConfig, cost: "Cost", available: float) -> ExperimentConfig:
        training = config.training
        epochs = training.epochs if "training.epochs" in self.fixed else most_epochs(config, cost, available)
        if available <= 0 or not epochs:
            least = self.seconds - available + sum(cost.epoch_seconds())
            raise InputError(
                f"budget is {self.seconds / 60:.3g} minutes, but one epoch with what precedes and follows it takes "
                f"{least / 60:.3g}; give more time, or fewer or smaller images"
            )
        span = max(1.0, AVERAGING_SHARE * epochs * cost.steps)
        return with_fields(
            config,
            {
                "training.epochs": epochs,
                "training.max_seconds": available,
                "training.warmup_steps": min(training.warmup_steps, int(span)),
                "training.ema_decay": min(training.ema_decay, 1 - 1 / span),
            },
        )


def most_epochs(config: ExperimentConfig, cost: "Cost", available: float) -> int:
    """The largest number of epochs, up to MOST_EPOCHS, that take at most this many seconds."""
    fitting = (
        epochs
        for epochs in range(MOST_EPOCHS, 0, -1)
        if cost.training_seconds(with_fields(config, {"training.epochs": epochs}).training) <= available
    )
    return next(fitting, 0)


def widest(config: ExperimentConfig, cost: "Cost", available: float) -> int:
    """F of the widest network that can be trained for EPOCHS_WORTH_WIDENING epochs, or else the smallest.

    Args:
        config: The config with another F.
        cost: Its cost.
        available: Seconds for training.
    """
    training = with_fields(config, {"training.epochs": EPOCHS_WORTH_WIDENING}).training
    needed = cost.training_seconds(training)
    fitting = (
        width
        for width in reversed(WIDTHS)
        if needed * (width / config.model.num_filters) ** WIDTH_EXPONENT <= available
    )
    return next(fitting, WIDTHS[0])
