"""Loggers of metrics: TensorBoard, and Weights & Biases."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from pixelbayes.utils.devices import is_first_process
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import write_text
from pixelbayes.utils.run_folder import RunFolder

MAX_NAME = 128  # characters that Weights & Biases takes


def check_wandb() -> None:
    """Checks that Weights & Biases takes the metrics of a run: logged in, and its server answers, unless offline.

    Raises:
        InputError: If not. Nobody is asked for a key unless this is a terminal.
    """
    try:
        import wandb
    except ImportError:
        raise InputError("logger wandb needs the wandb package: pip install 'pixelbayes[wandb]'") from None
    if is_first_process():
        with _one_line():
            if wandb.setup().settings.mode in ("online", "run", "shared"):
                wandb.login(verify=True)


class WandbRun(WandbLogger):
    """A run at Weights & Biases. Its id is in the run folder, so a resumed run continues it, wherever the folder is."""

    def __init__(self, run: Path):
        name = run.resolve().name.encode(errors="backslashreplace").decode()  # file names may not be UTF-8
        super().__init__(name=name[:MAX_NAME] or None, save_dir=run, project="pixelbayes", id=_wandb_id(RunFolder(run)))
        if is_first_process():
            with _one_line():
                _ = self.experiment  # starts the run

    @rank_zero_only
    def finalize(self, status: str) -> None:
        super().finalize(status)
        self.experiment.finish(
            exit_code=0 if status == "success" else 1
        )  # or the next run of this process goes on here


def _wandb_id(folder: RunFolder) -> str | None:
    if not folder.wandb_id.is_file() and is_first_process():
        write_text(folder.wandb_id, token_hex(8) + "\n")
    return folder.wandb_id.read_text(encoding="utf-8").strip() if folder.wandb_id.is_file() else None


@contextmanager
def _one_line() -> Iterator[None]:
    """Makes any error of Weights & Biases, of which there are many types, an InputError."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        remedy = "run `wandb login`, set WANDB_MODE=offline, or choose another --logger"
        raise InputError(f"logger wandb cannot start ({reason}); {remedy}") from error


def _tensorboard(run: Path) -> Logger:
    return TensorBoardLogger(run, name="", version="tensorboard")


LOGGERS: dict[str, Callable[[Path], Logger | bool]] = {
    "tensorboard": _tensorboard,
    "wandb": WandbRun,
    "none": lambda run: False,
}
