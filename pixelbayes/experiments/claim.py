"""Starts a run: loads the data, checks the machine, and makes a folder the run of a config."""

import datetime
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from matplotlib.figure import Figure

from pixelbayes.checkpoints.trained import Trained
from pixelbayes.data import AugmentationConfig, ImageData, load_data
from pixelbayes.data.listing import shown
from pixelbayes.data.summary import summarise, summary_table
from pixelbayes.evaluation.history import Row, write_history
from pixelbayes.experiments.config import RunConfig
from pixelbayes.plots import augmentations
from pixelbayes.training import OptimizationConfig, TrainingConfig
from pixelbayes.training.optimization import early_ending
from pixelbayes.utils.config_diff import config_differences, flatten
from pixelbayes.utils.console import make_console
from pixelbayes.utils.devices import is_first_process, pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import write_text
from pixelbayes.utils.run_folder import RunFolder

# fields that a resumed run may change: the number and kind of devices, the logger, and the place of the same images
MAY_CHANGE = ("training.devices", "training.device", "training.logger", "data.source")


def start_run(
    config: RunConfig,
    run: Path,
    *,
    resume: bool,
    eval_split: str,
    data: ImageData | None = None,
    range_test: Sequence[Row] = (),
) -> ImageData:
    """Loads the data and makes the folder the run of this config.

    Args:
        config: The config of the run.
        run: The run folder.
        resume: Whether the folder may hold the same run already.
        eval_split: The split to measure at the end.
        data: The data of the config, if they are loaded already.
        range_test: The loss at each learning rate that was tried to find that of the config; empty if none was.

    Returns:
        The data.

    Raises:
        InputError: If the data are faulty, or the folder holds a run that is not to be resumed, or another run.
    """
    data = checked_data(config, run, eval_split, data)
    summary = {"fingerprint": data.fingerprint(), **summarise(data)}
    if is_first_process():
        claim(RunFolder(run), config, summary, resume)
        if range_test:
            write_history(range_test, RunFolder(run).range_test)
        make_console(stderr=True).print(summary_table(summary))
    return data


def checked_data(config: RunConfig, run: Path, eval_split: str, data: ImageData | None = None) -> ImageData:
    """Loads the data, and checks them and the machine; before anything of a run is measured or written.

    Raises:
        InputError: As from `start_run`, apart from the folder.
    """
    data = data or _load_run_data(config, run)
    names = dict.fromkeys(("train", "validation", eval_split))
    if empty := [name for name in names if not len(data.split(name))]:
        raise InputError(f"{config.data.source}: the {' and '.join(empty)} split holds no image")
    check_machine(config.training)
    return data


def _load_run_data(config: RunConfig, run: Path) -> ImageData:
    """The data of a config; if the run of a folder names images that are not there, the message says what to do."""
    try:
        return load_data(config.data)
    except InputError as error:
        if not RunFolder(run).config.is_file() or "\n" in str(error):
            raise
        raise InputError(f"{error}; if the images of {run} have moved, give their new place with --data") from None


def check_machine(config: OptimizationConfig) -> None:
    """Checks that this machine has what a run needs.

    Raises:
        InputError: If the device or its precision or the logger is not available.
    """
    device = pick_device(config.device, config.precision)
    available = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type)  # processes can share the cores of a CPU
    if isinstance(config, TrainingConfig) and available is not None and config.devices > available:
        raise InputError(
            f"devices is {config.devices}, expected at most {available}, the number of {device.type} devices"
        )
    if config.logger == "wandb":
        from pixelbayes.training.loggers import check_wandb  # Lightning takes seconds to import

        check_wandb()


def claim(folder: RunFolder, config: RunConfig, summary: dict[str, Any], resume: bool) -> None:
    """Writes config and data summary into a new run folder, or checks that the run there is the same."""
    check_folder(folder.path)
    if folder.config.is_file():
        if not resume:
            raise InputError(f"{folder.path} holds a run already; give --resume to continue it, or another --out")
        before, after = yaml.safe_load(folder.config.read_text(encoding="utf-8")), config.as_plain()
        different = config_differences(before, after)
        changed = [name for name in different if name not in MAY_CHANGE]
        if changed:
            raise InputError(f"{folder.config} has other values of {', '.join(changed)}; resume without these options")
        if folder.data.is_file():
            fingerprint = json.loads(folder.data.read_text(encoding="utf-8"))["fingerprint"]
            if fingerprint != summary["fingerprint"]:
                raise InputError(
                    f"{config.data.source}: the images or labels have changed since {folder.path} was started; "
                    "restore them, or start a new run with another --out"
                )
        for name in different:
            was, now = flatten(before).get(name), flatten(after)[name]
            make_console(stderr=True, highlight=False, soft_wrap=True).print(
                f"{name} was {was} and is {now}; the run goes on"
            )
    elif folder.best.exists():
        raise InputError(f"{folder.path} holds a network that was not trained there; give another --out")
    write_text(folder.config, config.as_yaml())
    write_text(folder.data, json.dumps(summary, indent=2) + "\n")


def claim_settings(path: Path, settings: dict[str, Any], may_be_added: Sequence[str] = ()) -> None:
    """Writes the settings of a command with several runs, or checks that those in the file are the same.

    Args:
        path: The YAML file.
        settings: Plain values.
        may_be_added: Settings that the file may lack.

    Raises:
        InputError: If the file has other settings.
    """
    if path.is_file():
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        changed = [name for name in config_differences(before, settings) if name in before or name not in may_be_added]
        if changed:
            raise InputError(f"{path} has other values of {', '.join(changed)}; give another --out")
    write_text(path, yaml.safe_dump(settings, sort_keys=False))


def check_folder(out: Path) -> None:
    """Checks that a path can be a folder of weights.

    Raises:
        InputError: If it is a file, or has a name that safetensors cannot open.
    """
    if shown(str(out)) != str(out):
        raise InputError(f"{out}: the name is not UTF-8; give another --out")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, but a folder is needed; give another --out")


def run_facts(trained: Trained, config: RunConfig, history: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Facts about a finished run for its report."""
    ending = early_ending(config.training, history)
    return {
        "device": str(trained.device),
        "threads": str(torch.get_num_threads()),
        "precision": config.training.precision,
        "seed": str(config.seed),
        "selected": f"epoch {trained.provenance.epoch} of {len(history)}, by {config.training.monitor}",
        **({"training ended": ending} if ending else {}),
        "training time": f"{sum(row['seconds'] for row in history):.0f} s",
    }


def augmented_examples(data: ImageData, config: AugmentationConfig, seed: int, count: int = 6) -> Figure | None:
    """A figure of `count` training images and their random augmentations; None without augmentation."""
    if not config.active:
        return None
    pixels = data.split("train").pixels
    chosen = torch.linspace(0, len(pixels) - 1, min(count, len(pixels))).long()
    return augmentations(pixels[chosen], data.preprocessing.image_shape.levels, config, seed)


def new_run_folder(name: str) -> Path:
    """A new folder under runs/, named by the current time and `name`."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path("runs") / f"{stamp}-{name}"
    count = 1
    while folder.exists():
        count += 1
        folder = Path("runs") / f"{stamp}-{name}-{count}"
    return folder


def command_line() -> str:
    """The command line of this process, quoted for a shell."""
    return shlex.join(["pixelbayes", *sys.argv[1:]])
