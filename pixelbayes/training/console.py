"""Messages on the terminal during training."""

import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pixelbayes.evaluation.history import best_row
from pixelbayes.training.callbacks import History
from pixelbayes.training.module import NetworkModule
from pixelbayes.training.optimization import early_ending
from pixelbayes.utils.console import make_console

METRIC_NAMES = {"bits_per_dim": "bits per dimension", "cross_entropy": "cross-entropy"}


class ProgressReport(Callback):
    """Prints one line per epoch, and why training ended early; on a terminal, shows a progress bar with the time left.

    Args:
        history: The history; it must come before this callback.
    """

    def __init__(self, history: History):
        self.history = history
        self.console = make_console(stderr=True, soft_wrap=True, highlight=False)
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps,"),
            TimeElapsedColumn(), TextColumn("elapsed,"), TimeRemainingColumn(), TextColumn("left"),
            console=self.console, transient=True, disable=not sys.stderr.isatty(),
        )  # fmt: skip

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        total = (trainer.max_epochs or 0) * int(trainer.num_training_batches)
        self.task = self.bar.add_task("training", total=total, completed=trainer.global_step)
        self.bar.start()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        self.bar.update(self.task, description="training", completed=trainer.global_step)

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.bar.update(self.task, description="validating")

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, NetworkModule)
        row = self.history.rows[-1]
        is_best = best_row(self.history.rows, module.config.monitor, module.metric) is row
        self.console.print(
            f"epoch {row['epoch']:>3}/{trainer.max_epochs}   "
            f"{METRIC_NAMES[module.metric]}: train {row[f'train/{module.metric}']:.3f}, "
            f"validation {row[f'val/{module.metric}']:.3f}   "
            f"accuracy {row['val/accuracy']:.3f}   {row['seconds']:.1f} s" + ("   best so far" if is_best else ""),
            soft_wrap=True,
        )
        self.bar.update(self.task, description="sampling and saving")

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, NetworkModule)
        if ending := early_ending(module.config, self.history.rows):
            self.console.print(f"training ended {ending}")

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self.bar.stop()
