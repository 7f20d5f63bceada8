"""Measures the network of a run on labelled images, and calibrates it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.calibration_record import CalibrationRecord
from pixelbayes.checkpoints.merging import SPLIT_FIELDS, make_ensemble
from pixelbayes.checkpoints.trained import Trained, TrainedClassifier
from pixelbayes.data import DataConfig, ImageData, Split, load_data
from pixelbayes.evaluation import measure as evaluation
from pixelbayes.evaluation.measure import DEFAULT_SCORING, Measurement, check_fit
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.inference import ScoringConfig
from pixelbayes.metrics.conformal import COVERAGE
from pixelbayes.metrics.ood import auroc, fit_ood_reference, ood_scores
from pixelbayes.plots import separation
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import tracker


def load_trained(run: str | Path, members: Sequence[str | Path] = (), *, device: str = "auto") -> Trained:
    """Loads the network of a run, of either kind; with members, which are further runs, the ensemble of all.

    Raises:
        InputError: If a network of an ensemble has no density, or they are not compatible.
    """
    target = pick_device(device)
    if not members:
        return checkpoint.load_any(run, target)
    runs = [run, *members]
    return make_ensemble([checkpoint.load(each, target) for each in runs], [str(each) for each in runs])


def load_matching_classifier(
    role: str, run: str, class_names: Sequence[str], preprocessing: Preprocessing, *, device: str | torch.device = "cpu"
) -> TrainedClassifier:
    """Loads a dedicated classifier that must have given classes and take given images.

    Args:
        role: What it is used as, for messages.
        run: A run folder or a weights file.
        class_names: The classes, in the order of their labels.
        preprocessing: Shape and resize of the images.
        device: The device to load it to.

    Raises:
        InputError: If there is no such classifier, or it has other classes, or takes other images.
    """
    classifier = checkpoint.load_classifier(run, device)
    for what, found, expected in (
        ("classes are", ", ".join(classifier.class_names), ", ".join(class_names)),
        ("images are", _phrase(classifier.preprocessing), _phrase(preprocessing)),
    ):
        if found != expected:
            raise InputError(
                f"{role} {run}: its {what} {found}, but {expected} are needed; train a classifier on the same data "
                "with `pixelbayes baseline`"
            )
    return classifier


def _phrase(preprocessing: Preprocessing) -> str:
    shape = preprocessing.image_shape
    size = f"{shape.height} x {shape.width}, {shape.channels} channels, {shape.levels} levels"
    return f"{size}, resized by {preprocessing.resize}"


def data_for(trained: Trained, source: str, image_size: tuple[int, int] | None = None) -> DataConfig:
    """The config that loads a source as the network takes its images, or at another size.

    A source without splits is divided as for the training of the network, wherever the files are now, because otherwise
    the network would be measured on its training images.
    """
    config = DataConfig(source=source, class_names=trained.class_names).matching(trained.preprocessing)
    if trained.provenance.data:
        settings = {name: getattr(trained.provenance.data, name) for name in SPLIT_FIELDS}
        config = dataclasses.replace(config, **settings)
    return dataclasses.replace(config, image_size=image_size) if image_size else config


def load_data_for(trained: Trained, source: str) -> ImageData:
    """Loads a source as the network takes its images."""
    return load_data(data_for(trained, source))


def measure(
    run: str | Path,
    source: str,
    split: str,
    scoring: ScoringConfig = DEFAULT_SCORING,
    *,
    members: Sequence[str | Path] = (),
    device: str = "auto",
) -> tuple[Trained, Measurement]:
    """Measures the network of a run, or an ensemble, on a split. It writes no file.

    Args:
        run: A run folder, a weights file or the name of a bundled network.
        source: The data, as in `DataConfig`.
        split: The split.
        scoring: How to score the images.
        members: Further runs, which form an ensemble with it.
        device: The device to compute on.
    """
    trained = load_trained(run, members, device=device)
    return trained, measure_split(trained, load_data_for(trained, source).split(split), split, scoring)


def measure_split(trained: Trained, images: Split, name: str, scoring: ScoringConfig = DEFAULT_SCORING) -> Measurement:
    """Measures a network on images, with a progress bar that calls them `name`."""
    return evaluation.measure(trained, images, scoring, track=tracker(f"scoring {name}"))


def calibrate(
    run: str | Path,
    source: str,
    split: str,
    scoring: ScoringConfig = DEFAULT_SCORING,
    *,
    coverage: float = COVERAGE,
    device: str = "auto",
) -> tuple[Path, CalibrationRecord]:
    """Calibrates a network on a split, and stores the record beside the weights; see `evaluation.measure.calibrate`.

    Args:
        run: A run folder or weights file.
        source: The data, as in `DataConfig`.
        split: The split.
        scoring: How to score the images; later measurements use the same by default.
        coverage: The probability that a prediction set holds the class of an image, above 0 and below 1.
        device: The device to compute on.

    Returns:
        The file, and the record in it.

    Raises:
        InputError: If the network is a bundled one, or the split has no labels.
    """
    trained = checkpoint.load_any(run, pick_device(device))
    if not Path(run).exists():
        raise InputError(
            f"{run} comes with the package and cannot be changed; calibrate a copy made by `save_pretrained`"
        )
    measurement = measure_split(trained, load_data_for(trained, source).split(split), split, scoring)
    record = evaluation.calibrate(trained, measurement, source, split, coverage)
    path = checkpoint.calibration_file(run)
    record.write(path)
    return path, record


def load_ood_images(trained: Trained, source: str, split: str) -> Split:
    """Loads a split of other data as the network takes images, without labels, because its classes are others.

    Raises:
        InputError: If the data cannot be read, or the split holds no image.
    """
    config = dataclasses.replace(data_for(trained, source), class_names=())
    images = load_data(config).split(split).unlabelled()
    check_fit(trained, images)
    return images


def compare_with_ood(
    trained: Trained, measurement: Measurement, ood_images: Split, names: tuple[str, str]
) -> tuple[dict[str, Any], Figure]:
    """Measures how well out-of-distribution scores separate other images from those that were measured.

    Args:
        trained: A network with a density.
        measurement: Its measurement on images like those of training.
        ood_images: The other images.
        names: Names of the measured images and of the others.

    Returns:
        The area under the ROC curve of each score, with its interval, as plain values; and the figure.
    """
    other = measure_split(trained, ood_images, names[1], ScoringConfig(views=measurement.views, masks=0))
    marginal, other_marginal = measurement.log_marginal, other.log_marginal
    if marginal is None or other_marginal is None:
        raise ValueError("the measurement has no log p(x), expected that of a density")
    levels, record = trained.image_shape.levels, trained.calibration
    reference = record.ood if record and record.views == measurement.views else None  # scores depend on the views
    mean = (reference or fit_ood_reference(marginal, measurement.split.pixels, levels)).bits_per_dim
    scores = ood_scores(marginal, measurement.split.pixels, levels, mean)
    other_scores = ood_scores(other_marginal, ood_images.pixels, levels, mean)
    found = {score: dataclasses.asdict(auroc(scores[score], other_scores[score])) for score in scores}
    return {"scores": found}, separation(scores, other_scores, names)
