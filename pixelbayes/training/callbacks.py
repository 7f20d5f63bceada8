"""Lightning callbacks: history, sample grids, saving and stopping."""

import io
import math
import shlex
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.evaluation.history import Row, best_row, write_history
from pixelbayes.inference import SamplingConfig, sample_classes
from pixelbayes.plots import image_grid, save_figure
from pixelbayes.training.module import NetworkModule, TrainingModule
from pixelbayes.training.optimization import is_time_up
from pixelbayes.training.sample_quality import QualityCheck
from pixelbayes.training.signals import handling_signals, in_main_thread
from pixelbayes.utils.errors import InterruptedRunError, StoppedEarlyError
from pixelbayes.utils.files import replacing
from pixelbayes.utils.run_folder import RunFolder

OnEpoch = Callable[[Row], bool]
"""Called with the row of each epoch in the history, once it is saved. Training stops early if it returns false."""

NOT_METRICS = ("epoch", "step", "images_per_second", "seconds")  # columns of the history


class History(Callback):
    """Records one row of metrics per epoch. The rows are part of the training state, so a resumed run continues them.

    Args:
        folder: The run folder; its history is rewritten after every epoch.
        quality_check: Measures samples too, if given.
    """

    def __init__(self, folder: RunFolder, quality_check: QualityCheck | None = None):
        self.folder = folder
        self.quality_check = quality_check
        self.rows: list[dict[str, float]] = []
        self.epoch_start = 0.0  # on the monotonic clock; time between two parts of a resumed run does not count
        self.images, self.training_seconds = 0, 0.0  # of this epoch, since the run last started

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._stop_if_time_is_up(trainer, module)  # a run that has ended does not go on

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.epoch_start += time.monotonic()

    def on_train_batch_start(self, *_: Any) -> None:
        self.step_start = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, _: Any, index: Tensor, *__: Any
    ) -> None:
        self.images += len(index)
        self.training_seconds += time.monotonic() - self.step_start

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, NetworkModule)
        epoch = trainer.current_epoch + 1
        metrics = module.epoch_metrics()
        if self.quality_check is not None and trainer.is_global_zero:  # the first process broadcasts its row
            assert isinstance(module, TrainingModule)
            metrics |= self.quality_check.metrics(module.average, epoch, module.config.epochs)
        for logger in trainer.loggers:
            logger.log_metrics(without_nan(metrics), step=trainer.global_step)
        now = time.monotonic()
        row = {
            "epoch": epoch,
            "step": trainer.global_step,
            **metrics,
            "images_per_second": round(self.images / self.training_seconds, 1),
            "seconds": round(now - self.epoch_start, 2),
        }
        self.rows.append(trainer.strategy.broadcast(row))  # all processes use the clock of the first
        self.epoch_start, self.images, self.training_seconds = now, 0, 0.0
        if trainer.is_global_zero:
            write_history(self.rows, self.folder.history)
        self._stop_if_time_is_up(trainer, module)

    def _stop_if_time_is_up(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, NetworkModule)
        trainer.should_stop |= is_time_up(module.config, self.rows)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": time.monotonic() - self.epoch_start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]
        self.epoch_start = -state_dict["seconds"]


class SampleGrids(Callback):
    """Saves a grid of samples every few epochs, one row per class. The noise is the same every time."""

    def __init__(self, folder: RunFolder):
        self.folder = folder

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        epoch, config = trainer.current_epoch + 1, module.config
        if config.sample_every and (epoch % config.sample_every == 0 or epoch == config.epochs):
            names = module.data.class_names
            sampling = SamplingConfig(count=config.samples_per_class, seed=module.seed)
            pixels = sample_classes(module.average, range(len(names)), sampling)
            figure = image_grid(pixels, module.network.config.image_shape.levels, row_labels=names)
            save_figure(figure, self.folder.samples / f"epoch-{epoch:04d}.png")


class Patience(EarlyStopping):
    """Stops training when the best epoch is `patience` epochs old. The counter is part of the training state.

    What is monitored is the number of the best epoch, as `best_row` selects it. So an improvement is the same here, for
    the saved weights and in the report. The epochs before the last phase of training do not count, because that phase
    has another loss.

    Args:
        history: The history; it must come before this callback.
        patience: Number of epochs, at least 1.
    """

    def __init__(self, history: History, patience: int):
        super().__init__("best_epoch", mode="max", patience=patience, check_on_train_epoch_end=True)
        self.history = history

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        trainer.should_stop |= self.wait_count >= self.patience  # a run that has ended does not go on

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, NetworkModule)
        rows, config = self.history.rows, module.config
        best = best_row(rows, config.monitor, module.metric)["epoch"]
        uncounted = min(rows[-1]["epoch"], sum(config.phase_epochs[:-1]))
        module.log(self.monitor, max(best, uncounted), logger=False, reduce_fx="max", sync_dist=True)
        super().on_train_epoch_end(trainer, module)


class CheckpointCallback(Checkpoint):
    """Saves the best and the last weights and the training state, and stops the run on a signal.

    A run is saved and stopped after a step. After the last step of an epoch it is saved and stopped at the end of the
    epoch, because Lightning skips the validation when it resumes between the two. As a `Checkpoint` this callback comes
    after all others, whose states it saves.

    Args:
        folder: The run folder.
        history: The history; its last row decides whether the epoch is the best.
        provenance: Command and config of the run; epoch and metrics are added to the weights of each epoch.
        command: The subcommand that resumes the run.
        on_epoch: Watches the epochs, if given.
    """

    def __init__(
        self,
        folder: RunFolder,
        history: History,
        provenance: Provenance,
        command: str,
        on_epoch: OnEpoch | None = None,
    ):
        self.folder = folder
        self.history = history
        self.provenance = provenance
        self.command = command
        self.on_epoch = on_epoch
        self.saved_at = time.monotonic()
        self.stop_signal: int | None = None

    def handling_signals(self) -> AbstractContextManager[None]:
        """Inside the block, SIGINT (Ctrl-C) and SIGTERM request the run to stop."""
        return handling_signals(self._request_stop)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.saved_at = time.monotonic()
        if in_main_thread():
            signal.signal(signal.SIGTERM, self._request_stop)  # replaces Lightning's, which stops without saving

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        assert isinstance(module, NetworkModule)
        if trainer.is_last_batch:
            return
        due = time.monotonic() - self.saved_at > 60 * module.config.checkpoint_minutes
        if _in_any_process(trainer, due or self.stop_signal is not None):
            self._save_state(trainer)
            self._stop_if_requested(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, NetworkModule)
        rows, monitor = self.history.rows, module.config.monitor
        if trainer.is_global_zero:
            metrics = {name: value for name, value in without_nan(rows[-1]).items() if name not in NOT_METRICS}
            provenance = replace(self.provenance, epoch=int(rows[-1]["epoch"]), monitor=monitor, metrics=metrics)
            trained = module.as_trained(provenance)
            checkpoint.save(trained, self.folder.last)
            if best_row(rows, monitor, module.metric) is rows[-1]:
                checkpoint.save(trained, self.folder.best)
        self._save_state(trainer)
        self._stop_if_requested(trainer)
        goes_on = self.on_epoch is None or not trainer.is_global_zero or self.on_epoch(rows[-1])
        is_last = trainer.should_stop or len(rows) == module.config.epochs
        if not is_last and _in_any_process(trainer, not goes_on):
            raise StoppedEarlyError(f"stopped after epoch {len(rows)}", signal.SIGTERM)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stop_signal is not None:  # the second signal stops at once, without saving
            raise self._interrupted(number)
        self.stop_signal = number

    def _stop_if_requested(self, trainer: L.Trainer) -> None:
        if _in_any_process(trainer, self.stop_signal is not None):
            raise self._interrupted(self.stop_signal or signal.SIGTERM)  # SIGTERM if another process got the signal

    def _interrupted(self, number: int) -> InterruptedRunError:
        command = shlex.join(["pixelbayes", self.command, "--out", str(self.folder.path), "--resume"])
        return InterruptedRunError(f"training stopped; resume it with `{command}`", number)

    def _save_state(self, trainer: L.Trainer) -> None:
        module = trainer.lightning_module
        assert isinstance(module, NetworkModule)
        module.finite_check.check()
        trainer.save_checkpoint(self.folder.resume)  # all processes take part, and the first one writes
        self.saved_at = time.monotonic()


class TrainingStateIO(TorchCheckpointIO):
    """Writes the training state. Lightning writes to the folder for temporary files first, which may be full."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        state = io.BytesIO()
        torch.save(checkpoint, state)
        with replacing(path) as temporary:
            temporary.write_bytes(state.getbuffer())


def without_nan(metrics: dict[str, float]) -> dict[str, float]:
    """The metrics that were measured."""
    return {name: value for name, value in metrics.items() if not math.isnan(value)}


def _in_any_process(trainer: L.Trainer, decision: bool) -> bool:
    """Whether the decision is true in any process, because all of them save and stop together."""
    return trainer.strategy.reduce_boolean_decision(decision, all=False) if trainer.world_size > 1 else decision
