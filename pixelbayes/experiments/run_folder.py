"""A run's folder: whose it is, what it is of, and how it was made."""

import dataclasses
import datetime
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import yaml
from matplotlib.figure import Figure
from rich.console import Console

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.checkpoint import Trained
from pixelbayes.data import AugmentationConfig, DataConfig, ImageData, load_data
from pixelbayes.data.summary import summarise, summary_table
from pixelbayes.plots import augmentations
from pixelbayes.training import OptimizationConfig, TrainingConfig
from pixelbayes.utils.config_diff import differences
from pixelbayes.utils.devices import is_first_process, pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import write_text
from pixelbayes.utils.randomness import permutation

CONFIG, DATA = "config.yaml", "data.json"  # in a run folder
ORDER = ("data", "augmentation", "model", "training", "seed")  # of a config's parts, as people read them


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run needs to be told; others add to it."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    training: OptimizationConfig = dataclasses.field(default_factory=OptimizationConfig)
    seed: int = 0  # of the first weights, shuffling, augmentation, dropout and sampling

    def as_plain(self) -> dict[str, Any]:
        """Nested dicts, lists and plain values, as YAML and JSON hold them."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return {name: plain[name] for name in ORDER if name in plain}

    def as_yaml(self) -> str:
        return yaml.safe_dump(self.as_plain(), sort_keys=False)


def begin(config: RunConfig, run: Path, *, resume: bool, report_on: str) -> ImageData:
    """Loads the data and makes the folder this config's run.

    Returns:
        The data.

    Raises:
        InputError: If the data is faulty, or the folder holds a run already, or another one than is to be resumed.
    """
    data = load_data(config.data)
    splits = [data.split(name) for name in ("train", "validation", report_on)]
    if not all(len(split) for split in splits):
        raise InputError(f"{config.data.source}: a split among train, validation and {report_on} holds no image")
    check_machine(config.training)
    summary = {"fingerprint": data.fingerprint(), **summarise(data)}
    if is_first_process():
        claim(run, config, summary, resume)
        Console(stderr=True).print(summary_table(summary))
    return data


def check_machine(config: OptimizationConfig) -> None:
    """Says at once if the machine lacks what such a run needs.

    Raises:
        InputError: If the device is not there, or not able to compute in that precision, or the logger is not there.
    """
    device = pick_device(config.device, config.precision)
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type)  # of a CPU's cores any number may share
    if isinstance(config, TrainingConfig) and there is not None and config.devices > there:
        raise InputError(f"devices is {config.devices}, but {device.type} has {there} here")
    if config.logger == "wandb" and find_spec("wandb") is None:
        raise InputError("logger wandb needs the wandb package: pip install 'pixelbayes[wandb]'")


def claim(run: Path, config: RunConfig, summary: dict[str, Any], resume: bool) -> None:
    """Makes the folder the run of this config on these data, or says why it cannot be."""
    path = run / CONFIG
    check_folder(run)
    if path.is_file():
        if not resume:
            raise InputError(f"{run} holds a run already; give --resume to go on with it, or another --out")
        changed = differences(yaml.safe_load(path.read_text(encoding="utf-8")), config.as_plain())
        changed = [name for name in changed if name != "training.devices"]  # which does not change what is computed
        if changed:
            raise InputError(f"{path} differs from what was asked in {', '.join(changed)}; resume without these")
        if (run / DATA).is_file():
            before = json.loads((run / DATA).read_text(encoding="utf-8"))["fingerprint"]
            if before != summary["fingerprint"]:
                raise InputError(
                    f"{config.data.source}: the images or labels have changed since {run} was begun; "
                    "put them back, or start a new run with another --out"
                )
    elif (run / checkpoint.BEST).exists():
        raise InputError(f"{run} holds a network that was not trained there; give another --out")
    write_text(path, config.as_yaml())
    write_text(run / DATA, json.dumps(summary, indent=2) + "\n")


def check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, and a folder is needed; give another --out")


def augmented_images(data: ImageData, config: AugmentationConfig, seed: int, count: int = 6) -> Figure | None:
    """A few training images, and what augmentation makes of them; None if it is off."""
    if not config.active:
        return None
    train = data.split("train").pixels
    some = permutation(seed, "shown", 0, len(train))[:count]
    return augmentations(train[some], data.preprocessing.levels, config, seed)


def run_facts(trained: Trained, config: RunConfig, history: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """What else one would ask of a run that has ended, for its page."""
    return {
        "device": str(next(trained.network.parameters()).device),
        "threads": str(torch.get_num_threads()),
        "seed": str(config.seed),
        "selected": f"epoch {trained.about['epoch']} of {len(history)}, by {config.training.select_by}",
        "time in epochs": f"{sum(row['seconds'] for row in history):.0f} s",
    }


def new_run_folder(name: str) -> Path:
    """A folder under runs/, named by the time and by what it is for, that is not yet there."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path("runs") / f"{stamp}-{name}"
    count = 1
    while folder.exists():
        count += 1
        folder = Path("runs") / f"{stamp}-{name}-{count}"
    return folder


def command_line() -> str:
    """The command that is running, as one would type it."""
    return shlex.join(["pixelbayes", *sys.argv[1:]])
