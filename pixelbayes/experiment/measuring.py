"""From weights and labelled images to figures, and to a temperature."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelbayes import checkpoint
from pixelbayes.checkpoint import BaselineCheckpoint, Checkpoint, Trained
from pixelbayes.data import DataConfig, Split, load_data
from pixelbayes.devices import pick_device
from pixelbayes.evaluation.calibrate import calibrate as fit_to
from pixelbayes.evaluation.measure import Measurement, measure, measure_baseline
from pixelbayes.progress import tracker
from pixelbayes.temperature import FittedTemperature

CUT = ("validation_fraction", "test_fraction", "split_seed")  # of DataConfig: how a source without splits is divided


def data_for(trained: Trained, source: str, image_size: tuple[int, int] | None = None) -> DataConfig:
    """A source whose images become what the network takes; of another size, if one is given.

    Of the source it was trained on, what was cut from train for validation and test is what was cut then: cut
    otherwise, the network would be measured on images it has seen.
    """
    own: Mapping[str, Any] = trained.about.get("experiment", {}).get("data", {})
    cut = {name: own[name] for name in CUT if name in own} if own.get("source") == source else {}
    fitting = DataConfig(
        source=source, class_names=trained.class_names, **dataclasses.asdict(trained.preprocessing), **cut
    )
    return dataclasses.replace(fitting, image_size=image_size) if image_size else fitting


def evaluate(
    run: str | Path, source: str, split: str, *, device: str = "auto", plain: bool = False
) -> tuple[Trained, Measurement]:
    """Measures a run's best weights, or a weights file, on a split of any data with its classes; changes no file.

    `plain` is that of `measure`.
    """
    trained = checkpoint.load_any(run, pick_device(device))
    images = load_data(data_for(trained, source)).split(split)
    return trained, measured(trained, images, split, plain=plain)


def measured(trained: Trained, images: Split, name: str, *, plain: bool = False) -> Measurement:
    """The measurement of a network of either kind; `name` is what the progress bar calls the images."""
    if isinstance(trained, BaselineCheckpoint):
        return measure_baseline(trained, images)
    assert isinstance(trained, Checkpoint)
    return measure(trained, images, plain=plain, track=tracker(f"scoring {name}"))


def calibrate(run: str | Path, source: str, split: str, *, device: str = "auto") -> tuple[Path, FittedTemperature]:
    """Fits a temperature to a split, and what typical images score, and keeps both beside the weights.

    Returns:
        The file, and what it holds.

    Raises:
        InputError: If the split has no labels.
    """
    trained = checkpoint.load_any(run, pick_device(device))
    images = load_data(data_for(trained, source)).split(split)
    fitted = fit_to(trained, measured(trained, images, split), source, split)
    path = checkpoint.calibration_file(run)
    fitted.write(path)
    return path, fitted
