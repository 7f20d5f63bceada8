"""The dedicated classifier whose features tell samples of some data from real images: trained once, then kept."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import torch
import yaml
from filelock import FileLock
from rich.console import Console

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.checkpoint import BaselineCheckpoint
from pixelbayes.data import DataConfig, ImageData, load_data
from pixelbayes.experiments.baseline import BASELINES, BaselineConfig, train_baseline
from pixelbayes.experiments.run_folder import CONFIG
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.report.run_record import METRICS
from pixelbayes.utils.config_diff import differences
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import cache_folder


def domain_classifier(data: DataConfig, *, run: Path | None = None, device: str = "auto") -> BaselineCheckpoint:
    """A classifier of these images: the one of `run`, or one trained as `pixelbayes baseline` does and kept.

    It is kept under the images' fingerprint, in the user's cache (`files.cache_folder`), so that all networks of the
    same images are measured by the same features. A training that was interrupted goes on.

    Raises:
        InputError: If there is no classifier in `run`, or the images do not allow one to be trained.
    """
    where = pick_device(device)
    if run is not None:
        return checkpoint.load_baseline(run, where)
    images = load_data(data)
    recipe = _recipe(data, images, where)
    kept = cache_folder() / "domain" / _name(recipe, images)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{kept}.lock"):  # two that ask at a time: the second waits for what the first has trained
        if not (kept / METRICS).is_file():
            Console(stderr=True).print(
                f"training a dedicated classifier of {data.source}, once, for its features; kept in {kept}",
                markup=False,
            )
            _clear_if_other(kept, recipe)
            train_baseline(recipe, kept, resume=True)
    return checkpoint.load_baseline(kept, where)


def _clear_if_other(kept: Path, recipe: BaselineConfig) -> None:
    """Forgets a training that stopped under another name of the same images, or on another device: none can resume."""
    config = kept / CONFIG
    if config.is_file() and differences(yaml.safe_load(config.read_text(encoding="utf-8")), recipe.as_plain()):
        shutil.rmtree(kept)


def _recipe(data: DataConfig, images: ImageData, device: torch.device) -> BaselineConfig:
    for name in ("train", "validation"):
        if not (images.split(name).labels != NO_LABEL).any():
            raise InputError(
                f"{data.source}: {name} has no labels, so no classifier can be trained for the features; "
                "name one with --classifier, or take the features inception-192"
            )
    base = BASELINES["digits" if data.source == "digits" else "photographs"]
    precision = "float32" if device.type == "mps" else base.training.precision
    seen = dataclasses.replace(
        data, class_names=images.class_names, **dataclasses.asdict(images.preprocessing)
    )  # however it was asked for
    training = dataclasses.replace(base.training, device=device.type, precision=precision, logger="none")
    return dataclasses.replace(base, data=seen, training=training)


def _name(recipe: BaselineConfig, images: ImageData) -> str:
    """A name for these images and this recipe, wherever the images lie."""
    plain = recipe.as_plain()
    plain["data"] = [images.fingerprint(), dataclasses.asdict(images.preprocessing), images.class_names]
    del plain["training"]["device"]
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=8).hexdigest()
