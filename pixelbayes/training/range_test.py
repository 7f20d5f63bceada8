"""Finds a learning rate by a range test: the rate grows from step to step, and the loss shows which rates learn.

Smith (2017), Cyclical learning rates for training neural networks, section 3.3, https://arxiv.org/abs/1506.01186. The
test is Lightning's `LearningRateFinder`. It suggests the rate at which the smoothed loss falls most steeply.
"""

import io
import itertools
import logging
import math
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, NoReturn

import lightning as L
from lightning.pytorch.callbacks import LearningRateFinder
from torch import Tensor
from torch.optim import Optimizer

from pixelbayes.evaluation.history import Row
from pixelbayes.training.finite_check import FiniteCheck
from pixelbayes.training.fit import expected_warnings_ignored, make_trainer
from pixelbayes.training.launch import is_launched, launch
from pixelbayes.training.module import NetworkModule
from pixelbayes.training.signals import handling_signals
from pixelbayes.utils.devices import is_first_process
from pixelbayes.utils.errors import InputError, InterruptedRunError

STEPS = 100
DECADES = 2  # the rates reach from a hundredth of that of the config to a hundred times that


def range_test(module: NetworkModule[Any, Any]) -> tuple[float, list[Row]]:
    """Trains for at most STEPS steps with growing rates, until the loss diverges.

    All rates of the optimizer grow by the same factor, so their proportions stay.

    Args:
        module: What would be trained, with a definite precision. Its weights do not stay as they are.

    Returns:
        The suggested factor of the learning rates, and a row with "learning_rate" and "loss" for each step.

    Raises:
        InputError: If the loss is finite in too few steps.
        InterruptedRunError: If a signal stopped the test.
    """
    if module.devices > 1 and not is_launched():
        return launch(module.devices, range_test, module)
    finder = _FactorFinder(mode="linear", min_lr=-DECADES, max_lr=DECADES, num_training_steps=STEPS, update_attr=False)
    with TemporaryDirectory() as folder, expected_warnings_ignored(), _quiet(), handling_signals(_interrupt):
        # validation would come after every second epoch, and the first one does not end
        options = {"max_epochs": -1, "check_val_every_n_epoch": 2, "logger": False, "enable_checkpointing": False}
        trainer = make_trainer(module, Path(folder), callbacks=[finder], **options)
        trainer.fit(module, _EndlessBatches(module))
    assert finder.optimal_lr is not None
    logging.getLogger("lightning.pytorch.tuner").setLevel(logging.CRITICAL)  # the error below says it better
    decades = finder.optimal_lr.suggestion()
    rate, losses = module.config.learning_rate, finder.losses
    if decades is None:
        raise InputError(
            f"find_learning_rate is true, but the loss is finite in only {sum(map(math.isfinite, losses))} of {STEPS} "
            f"steps, too few to see where it falls; give a lower learning_rate to start from than {rate:g}"
        )
    tried = finder.optimal_lr.results["lr"]
    return 10**decades, [{"learning_rate": rate * 10**x, "loss": loss} for x, loss in zip(tried, losses, strict=True)]


class _FactorFinder(LearningRateFinder):
    """Multiplies all rates of the optimizer by 10^x, where x takes the place of the rate that Lightning varies.

    Lightning itself would give all parameter groups the same rate, and would take the slope of the loss over the rate,
    which favours the smallest of rates on a logarithmic scale. The slope over x does not.
    """

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, NetworkModule)
        module.prepare()
        module.finite_check = check = _LossRecord(trainer)
        (optimizer,) = trainer.optimizers
        rates = [group["initial_lr"] for group in optimizer.param_groups]

        def multiply(optimizer: Optimizer, *_: Any) -> None:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * 10 ** group["lr"]

        optimizer.register_step_pre_hook(multiply)  # Lightning sets the next x after every step
        self.lr_find(trainer, module)
        self.losses = check.losses  # those of Lightning are smoothed
        trainer.should_stop = True  # before the first step of a run


class _LossRecord(FiniteCheck):
    """Records the losses, and ends the test at a value that is not finite, rather than failing."""

    def __init__(self, trainer: L.Trainer):
        super().__init__("")
        self.trainer = trainer
        self.losses: list[float] = []

    def record(self, name: str, value: Tensor, step: int) -> None:
        self.trainer.should_stop |= not math.isfinite(value)
        if name == "loss":
            self.losses.append(float(value))


class _EndlessBatches:
    """The batches of a run, epoch after epoch, as if they were one epoch, which therefore has one loss."""

    def __init__(self, module: NetworkModule[Any, Any]):
        self.module = module

    def __iter__(self) -> Iterator[Tensor]:
        batches = self.module.train_dataloader()
        for first_step in itertools.count(step=len(batches)):
            batches.step = partial(int, first_step)
            yield from batches


def _quiet() -> AbstractContextManager[object]:
    """Hides the progress bar of Lightning, except on the terminal of the first process."""
    return nullcontext() if is_first_process() and sys.stderr.isatty() else redirect_stderr(io.StringIO())


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    raise InterruptedRunError("stopped before the first step of training; the same command starts again", number)
