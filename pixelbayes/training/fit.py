"""Training from start, or from where it stopped, to end."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from pixelbayes.training.callbacks import RESUME, History, Keeper, SampleGrids
from pixelbayes.training.console import ProgressReport
from pixelbayes.training.launch import in_processes, launched, machines, processes_here
from pixelbayes.training.module import NetworkModule, TrainingModule
from pixelbayes.training.sample_quality import QualityCheck
from pixelbayes.utils.devices import is_first_process, keep_freed_memory, pick_device

PRECISIONS: dict[str, Any] = {"float32": "32-true", "bf16": "bf16-mixed", "float64": "64-true"}


def fit(
    module: NetworkModule, run: Path, about: dict[str, Any], quality: QualityCheck | None = None
) -> list[dict[str, float]]:
    """Trains to the last epoch, from the run folder's saved state if it has one.

    Args:
        module: What to train.
        run: The run folder, which receives weights, history, sample grids and logs.
        about: Facts that go into each weights file.
        quality: Measures samples every few epochs, if given.

    Returns:
        The history, a row for each epoch.

    Raises:
        DivergedError: If a loss is not finite.
        InterruptedRunError: If asked to stop; the run can be resumed.
    """
    for room in ("pytorch", "fabric"):
        logging.getLogger(f"lightning.{room}").setLevel(logging.WARNING)
    if module.devices > 1 and not launched():
        rows: list[dict[str, float]] = in_processes(module.devices, fit, module, run, about, quality)
        return rows
    keep_freed_memory()
    config = module.config
    state = run / RESUME
    history = History(run, quality)
    keeper = Keeper(run, history, about, module.command)
    shown: list[Callback] = [ProgressReport(history)] if is_first_process() else []
    if isinstance(module, TrainingModule) and is_first_process():
        shown.append(SampleGrids(run))
    trainer = L.Trainer(
        accelerator={"mps": "mps", "cuda": "gpu", "cpu": "cpu"}[pick_device(config.device, config.precision).type],
        devices=processes_here(),
        num_nodes=machines(),
        strategy=_data_parallel() if launched() else "auto",
        precision=PRECISIONS[config.precision],
        max_epochs=config.epochs,
        logger=LOGGERS[config.logger](run),
        callbacks=[history, *shown, keeper],
        default_root_dir=run,
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, len(module.train_dataloader())),
        enable_checkpointing=False,  # the Keeper's work
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with warnings.catch_warnings(), keeper.listening():
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)  # Lightning's use of torch
        warnings.filterwarnings("ignore", message=".*your dataloader is not resumable")  # ours is, by the step
        warnings.filterwarnings("ignore", message=".*``compute`` method of metric")  # a process may have no image
        trainer.fit(module, ckpt_path=state if state.is_file() else None)
    return history.rows


def _data_parallel() -> DDPStrategy:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*`broadcast_buffers` is deprecated")  # what is new is not in 2.5
        return DDPStrategy(broadcast_buffers=False)  # the images are among them


def _tensorboard(run: Path) -> Logger:
    return TensorBoardLogger(run, name="", version="tensorboard")


def _wandb(run: Path) -> Logger:
    from lightning.pytorch.loggers import WandbLogger

    return WandbLogger(name=run.name, save_dir=run, project="pixelbayes", id=run.name, resume="allow")


LOGGERS: dict[str, Callable[[Path], Logger | bool]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "none": lambda run: False,
}
