"""From weights and labelled images to figures, and to a temperature."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.calibration_record import FittedTemperature
from pixelbayes.checkpoints.checkpoint import BaselineCheckpoint, Checkpoint, Trained
from pixelbayes.checkpoints.merging import CUT, EnsembleCheckpoint
from pixelbayes.data import DataConfig, Split, load_data
from pixelbayes.evaluation.measure import Measurement, check_fit, measure, measure_baseline
from pixelbayes.evaluation.measure import calibrate as fit_to
from pixelbayes.metrics.ood import auroc, fit_typical, outlier_scores
from pixelbayes.plots import separation
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import tracker


def data_for(trained: Trained, source: str, image_size: tuple[int, int] | None = None) -> DataConfig:
    """A source whose images become what the network takes; of another size, if one is given.

    A source without splits is divided as the network's own was, wherever it lies now: divided otherwise, the network
    would be measured on images it has seen.
    """
    own: Mapping[str, Any] = trained.about.get("experiment", {}).get("data", {})
    cut = {name: own[name] for name in CUT if name in own}
    fitting = DataConfig(
        source=source, class_names=trained.class_names, **dataclasses.asdict(trained.preprocessing), **cut
    )
    return dataclasses.replace(fitting, image_size=image_size) if image_size else fitting


def load_to_measure(run: str | Path, members: Sequence[str | Path] = (), *, device: str = "auto") -> Trained:
    """Loads a run's network, of either kind; with members, which are further runs, an ensemble of all.

    Raises:
        InputError: If one of an ensemble has no density, or they are not of the same classes, pixels and prior.
    """
    where = pick_device(device)
    if not members:
        return checkpoint.load_any(run, where)
    runs = [run, *members]
    return EnsembleCheckpoint.of([checkpoint.load(each, where) for each in runs], [str(each) for each in runs])


def evaluate(
    run: str | Path,
    source: str,
    split: str,
    *,
    members: Sequence[str | Path] = (),
    device: str = "auto",
    **how: Any,
) -> tuple[Trained, Measurement]:
    """Measures a run's best weights, or a weights file, on a split of any data with its classes; changes no file.

    With members, which are further runs, it measures the ensemble of all. `how` are views, masks, combine and plain of
    `measure`.
    """
    trained = load_to_measure(run, members, device=device)
    images = load_data(data_for(trained, source)).split(split)
    return trained, measured(trained, images, split, **how)


def measured(trained: Trained, images: Split, name: str, **how: Any) -> Measurement:
    """The measurement of a network of either kind, or of an ensemble.

    Args:
        trained: The network, or networks.
        images: What to measure it on.
        name: What the progress bar calls them.
        how: Members, views, masks, combine and plain of `measure`; nothing to a dedicated classifier.
    """
    if isinstance(trained, BaselineCheckpoint):
        return measure_baseline(trained, images)
    if isinstance(trained, EnsembleCheckpoint):
        first, *others = trained.members
        return measured(first, images, name, members=others, **how)
    assert isinstance(trained, Checkpoint)
    return measure(trained, images, **how, track=tracker(f"scoring {name}"))


def calibrate(
    run: str | Path, source: str, split: str, *, device: str = "auto", **how: Any
) -> tuple[Path, FittedTemperature]:
    """Fits a temperature to a split, and what typical images score, and keeps both beside the weights.

    Returns:
        The file, and what it holds.

    Raises:
        InputError: If the split has no labels.
    """
    trained = checkpoint.load_any(run, pick_device(device))
    if not Path(run).exists():
        raise InputError(f"{run} comes with the package and stays as it is; calibrate a copy, by `save_pretrained`")
    images = load_data(data_for(trained, source)).split(split)
    fitted = fit_to(trained, measured(trained, images, split, **how), source, split)
    path = checkpoint.calibration_file(run)
    fitted.write(path)
    return path, fitted


def images_outside(trained: Checkpoint, source: str, split: str) -> Split:
    """A split of other data as the network takes images, without labels: their classes are their own.

    Args:
        trained: The network.
        source: The other data, as in `DataConfig`.
        split: The split of it.

    Raises:
        InputError: If the data cannot be read, or the split holds no image.
    """
    found = load_data(dataclasses.replace(data_for(trained, source), class_names=())).split(split).unlabelled()
    check_fit(trained, found)
    return found


def set_against(
    trained: Checkpoint, inside: Measurement, images: Split, names: tuple[str, str]
) -> tuple[dict[str, Any], Figure]:
    """Scores other images beside those that were measured.

    Args:
        trained: The network.
        inside: Its measurement of images like those of training.
        images: The others.
        names: What to call the images inside, and the others.

    Returns:
        For each score the area under its ROC curve, with its interval, as plain values; and the figure.
    """
    outside = measured(trained, images, names[1], views=inside.views, masks=0)
    levels, fitted = trained.preprocessing.levels, trained.calibration
    typical = fitted.typical if fitted and fitted.views == inside.views else None  # of other views scores are others
    mean = (typical or fit_typical(_marginal(inside), inside.split.pixels, levels)).bits_per_dim
    near, far = (outlier_scores(_marginal(of), of.split.pixels, levels, mean) for of in (inside, outside))
    found = {score: dataclasses.asdict(auroc(near[score], far[score])) for score in near}
    return {"scores": found}, separation(near, far, names)


def _marginal(measurement: Measurement) -> Tensor:
    if measurement.log_marginal is None:
        raise ValueError("the measurement has no log p(x), expected that of a density")
    return measurement.log_marginal
