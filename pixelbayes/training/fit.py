"""Runs training from the start, or from the saved training state, to the last epoch."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy

from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.training.callbacks import CheckpointCallback, History, OnEpoch, Patience, SampleGrids, TrainingStateIO
from pixelbayes.training.console import ProgressReport
from pixelbayes.training.launch import is_launched, launch, num_local_processes, num_machines
from pixelbayes.training.loggers import LOGGERS
from pixelbayes.training.module import NetworkModule, TrainingModule
from pixelbayes.training.sample_quality import QualityCheck
from pixelbayes.utils.devices import is_first_process, keep_freed_memory, pick_device
from pixelbayes.utils.run_folder import RunFolder

ACCELERATORS = {"mps": "mps", "cuda": "gpu", "cpu": "cpu"}
PRECISIONS: dict[str, Any] = {"auto": "32-true", "float32": "32-true", "bf16": "bf16-mixed", "float64": "64-true"}

NO_PROVENANCE = Provenance()


def fit(
    module: NetworkModule[Any, Any],
    run: Path,
    provenance: Provenance = NO_PROVENANCE,
    quality_check: QualityCheck | None = None,
    on_epoch: OnEpoch | None = None,
) -> list[dict[str, float]]:
    """Trains to the last epoch; resumes from the training state in the run folder if there is one.

    Args:
        module: The network and how to train it.
        run: The run folder; receives weights, training state, history, sample grids and logs.
        provenance: Command and config of the run, which are stored with the weights.
        quality_check: Measures samples every few epochs, if given.
        on_epoch: Watches the epochs, if given; with several devices it must be picklable.

    Returns:
        The history, one row per epoch.

    Raises:
        InputError: If the logger cannot start.
        DivergedError: If a loss or a gradient norm is not finite.
        InterruptedRunError: If a signal stopped the run, or `on_epoch` did; it can be resumed.
    """
    if module.devices > 1 and not is_launched():
        return launch(module.devices, fit, module, run, provenance, quality_check, on_epoch)
    keep_freed_memory()
    config, folder = module.config, RunFolder(run)
    if config.precision == "float64":
        module.double()  # Lightning converts it too, but only after it has loaded the training state
    history = History(folder, quality_check)
    checkpoints = CheckpointCallback(folder, history, provenance, module.command, on_epoch)
    output: list[Callback] = [ProgressReport(history)] if is_first_process() else []
    if isinstance(module, TrainingModule) and is_first_process():
        output.append(SampleGrids(folder))
    patience: list[Callback] = [Patience(history, config.patience)] if config.patience else []
    trainer = make_trainer(
        module,
        run,
        max_epochs=config.epochs,
        logger=LOGGERS[config.logger](run),
        callbacks=[history, *output, *patience, checkpoints],
        plugins=[TrainingStateIO()],
        log_every_n_steps=min(10, len(module.train_dataloader())),
    )
    with expected_warnings_ignored(), checkpoints.handling_signals():
        trainer.fit(module, ckpt_path=folder.resume if folder.resume.is_file() else None)
    return history.rows


def make_trainer(module: NetworkModule[Any, Any], folder: Path, **options: Any) -> L.Trainer:
    """The trainer of a module, on the devices and in the precision of its config.

    Args:
        module: The network and how to train it.
        folder: Where the trainer may write.
        options: More options of the trainer.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    config = module.config
    return L.Trainer(
        accelerator=ACCELERATORS[pick_device(config.device, config.precision).type],
        devices=num_local_processes(),
        num_nodes=num_machines(),
        strategy=_data_parallel() if is_launched() else "auto",
        precision=PRECISIONS[config.precision],
        default_root_dir=folder,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **options,
    )


@contextmanager
def expected_warnings_ignored() -> Iterator[None]:
    """Inside the block, warnings that every run raises, and that call for no action, are ignored."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)  # raised inside Lightning
        warnings.filterwarnings("ignore", message=".*your dataloader is not resumable")  # ShuffledBatches is, by step
        warnings.filterwarnings("ignore", message=".*``compute`` method of metric")  # a process may have no image
        yield


def _data_parallel() -> DDPStrategy:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*`broadcast_buffers` is deprecated"
        )  # new name not in Lightning 2.5
        return DDPStrategy(broadcast_buffers=False)  # the images are buffers
