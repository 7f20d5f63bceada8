"""The dedicated classifier whose features FID and KID use: trained once per data set, then cached."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import torch
import yaml
from filelock import FileLock

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.data import DataConfig, ImageData
from pixelbayes.experiments.baseline import BASELINES, BaselineConfig, train_baseline
from pixelbayes.experiments.plan import adopt
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.utils.config_diff import config_differences
from pixelbayes.utils.console import make_console
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import cache_folder, make_cache_folder
from pixelbayes.utils.run_folder import RunFolder


def feature_classifier(
    config: DataConfig, data: ImageData, *, run: Path | None = None, device: str = "auto"
) -> TrainedClassifier:
    """A classifier of these images: the one in `run`, or one that is trained like `pixelbayes baseline` and cached.

    The cache is keyed by a fingerprint of the images, so all networks of the same images are measured with the same
    features. An interrupted training is resumed.

    Args:
        config: The data config of the images.
        data: The images.
        run: A run of `pixelbayes baseline`.
        device: The device to train and to load it on.

    Raises:
        InputError: If there is no classifier in `run`, the images have no labels, or the cache cannot be written.
    """
    target = pick_device(device)
    if run is not None:
        return checkpoint.load_classifier(run, target)
    recipe = _recipe(config, data, target)
    folder = RunFolder(cache_folder() / "classifier" / _key(recipe, data))
    if not folder.metrics.is_file():
        _train_once(folder, recipe, data)
    return checkpoint.load_classifier(folder.path, target)


def _train_once(folder: RunFolder, recipe: BaselineConfig, data: ImageData) -> None:
    make_cache_folder("classifier")
    with FileLock(f"{folder.path}.lock"):  # a second process waits for the first one's training
        if folder.metrics.is_file():
            return
        source = recipe.data.source
        make_console(stderr=True).print(
            f"training a dedicated classifier of {source}, once, for its features; cached in {folder.path}"
        )
        _remove_other_run(folder, recipe)
        train_baseline(recipe, folder.path, resume=True, data=data)


def _remove_other_run(folder: RunFolder, recipe: BaselineConfig) -> None:
    """Removes an interrupted training with another path of the same images, or on another device."""
    if not folder.config.is_file():
        return
    started = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
    if config_differences(started, adopt(recipe, folder.path).as_plain()):
        shutil.rmtree(folder.path)


def _recipe(config: DataConfig, data: ImageData, device: torch.device) -> BaselineConfig:
    for name in ("train", "validation"):
        if not (data.split(name).labels != NO_LABEL).any():
            raise InputError(
                f"{config.source}: {name} has no labels, which training a classifier for the features needs; "
                "name a classifier with --classifier, or use the features inception-192"
            )
    base = BASELINES["digits" if config.source == "digits" else "photographs"]
    matching = dataclasses.replace(config, class_names=data.class_names).matching(data.preprocessing)
    training = dataclasses.replace(base.training, device=device.type, logger="none")
    return dataclasses.replace(base, data=matching, training=training)


def _key(recipe: BaselineConfig, data: ImageData) -> str:
    """A key of these images and this recipe, which does not depend on the path of the images."""
    plain = recipe.as_plain()
    plain["data"] = [data.fingerprint(), dataclasses.asdict(data.preprocessing), data.class_names]
    del plain["training"]["device"]
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=8).hexdigest()
