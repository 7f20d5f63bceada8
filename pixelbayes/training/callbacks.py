"""What happens around the steps: history, files, pictures, and stopping well."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from pixelbayes.checkpoints import checkpoint
from pixelbayes.evaluation.history import HISTORY, best_row, write_history
from pixelbayes.inference import sample_classes
from pixelbayes.plots import image_grid, save_figure
from pixelbayes.training.module import NetworkModule, TrainingModule
from pixelbayes.training.sample_quality import QualityCheck
from pixelbayes.utils.errors import InterruptedRunError
from pixelbayes.utils.files import replacing

RESUME = "resume.ckpt"


class History(Callback):
    """One row of figures for each epoch; kept with the state, so that a resumed run's has no gap and no echo.

    Args:
        run: The run folder; `history.csv` there is rewritten every epoch.
        quality: Measures samples too, if given.
    """

    def __init__(self, run: Path, quality: QualityCheck | None = None):
        self.run = run
        self.quality = quality
        self.rows: list[dict[str, float]] = []
        self.began = 0.0  # when this epoch would have begun, had it never been interrupted
        self.images, self.training_seconds = 0, 0.0  # of this epoch, since the run last started

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.began += time.monotonic()

    def on_train_batch_start(self, *_: Any) -> None:
        self.step_began = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, _: Any, index: Tensor, *__: Any
    ) -> None:
        self.images += len(index)
        self.training_seconds += time.monotonic() - self.step_began

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, NetworkModule)
        figures = module.epoch_figures()
        if self.quality is not None and trainer.is_global_zero:  # whose row it is that counts
            assert isinstance(module, TrainingModule)
            figures |= self.quality.figures(module.average, trainer.current_epoch + 1, module.config.epochs)
        known = {name: value for name, value in figures.items() if not math.isnan(value)}
        for logger in trainer.loggers:
            logger.log_metrics(known, step=trainer.global_step)
        place = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        now = time.monotonic()
        speed = round(self.images / self.training_seconds, 1)
        row = {**place, **figures, "images_per_second": speed, "seconds": round(now - self.began, 2)}
        self.rows.append(trainer.strategy.broadcast(row))  # one clock for all processes
        self.began, self.images, self.training_seconds = now, 0, 0.0
        if trainer.is_global_zero:
            write_history(self.rows, self.run / HISTORY)
        limit = module.config.max_seconds
        if limit and sum(row["seconds"] for row in self.rows) > limit:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": time.monotonic() - self.began}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]
        self.began = -state_dict["seconds"]


class SampleGrids(Callback):
    """A picture of samples every few epochs, a row for each class; the noise stays, so one sees the network learn."""

    def __init__(self, run: Path):
        self.run = run

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        epoch, config = trainer.current_epoch + 1, module.config
        if config.sample_every and (epoch % config.sample_every == 0 or epoch == config.epochs):
            names = module.data.class_names
            pixels = sample_classes(module.average, range(len(names)), config.samples_per_class, seed=module.seed)
            figure = image_grid(pixels, module.network.config.levels, row_labels=names)
            save_figure(figure, self.run / "samples" / f"epoch-{epoch:04d}.png")


class Keeper(Callback):
    """Keeps best and last weights and the state to resume from, and stops a run when asked to.

    A run is saved and stopped at the end of a step; at an epoch's last, at the end of the epoch, for from between the
    two Lightning would go on without validating. Must come after every callback that has a state.

    Args:
        run: The run folder.
        history: Whose last row tells how good the epoch was.
        about: Facts that go into each weights file.
        command: What resumes such a run.
    """

    def __init__(self, run: Path, history: History, about: dict[str, Any], command: str):
        self.run = run
        self.history = history
        self.about = about
        self.command = command
        self.saved_at = time.monotonic()
        self.asked_to_stop: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While it lasts, Ctrl-C and SIGTERM ask the run to stop."""
        if threading.current_thread() is not threading.main_thread():  # Python leaves signals to the main one
            yield
            return
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.saved_at = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._ask)  # Lightning has set its own, which stops without saving

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked_to_stop is not None:  # a second time: at once; the last saved state stays
            raise InterruptedRunError(self._farewell(), number)
        self.asked_to_stop = number

    def _farewell(self) -> str:
        return f"stopped; `pixelbayes {self.command} --out {self.run} --resume` goes on"

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        assert isinstance(module, NetworkModule)
        if trainer.is_last_batch:
            return
        due = time.monotonic() - self.saved_at > 60 * module.config.checkpoint_minutes
        if self._agreed(trainer, due or self.asked_to_stop is not None):
            self._save_state(trainer)
            self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, NetworkModule)
        rows = self.history.rows
        about = {**self.about, **rows[-1], "selected_by": module.config.select_by}
        if trainer.is_global_zero:
            kept = module.as_checkpoint(about)
            checkpoint.save(kept, self.run / checkpoint.LAST)
            if best_row(rows, module.config.select_by, module.measure) is rows[-1]:
                checkpoint.save(kept, self.run / checkpoint.BEST)
        self._save_state(trainer)
        self._stop_if_asked(trainer)

    def _agreed(self, trainer: L.Trainer, wish: bool) -> bool:
        """Whether any process of the run wishes it: for they save and stop together."""
        return trainer.strategy.reduce_boolean_decision(wish, all=False) if trainer.world_size > 1 else wish

    def _stop_if_asked(self, trainer: L.Trainer) -> None:
        if self._agreed(trainer, self.asked_to_stop is not None):
            number = self.asked_to_stop or signal.SIGTERM  # another process was asked
            raise InterruptedRunError(self._farewell(), number)

    def _save_state(self, trainer: L.Trainer) -> None:
        module = trainer.lightning_module
        assert isinstance(module, NetworkModule)
        module.watch.check()
        if trainer.is_global_zero:
            with replacing(self.run / RESUME) as temporary:
                trainer.save_checkpoint(temporary)
        else:
            trainer.save_checkpoint(self.run / RESUME)  # writes nothing, but takes part
        self.saved_at = time.monotonic()
