"""From image files to classes, and to what decided."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.data import Split
from pixelbayes.evaluation.explanation import Explanation, rivals
from pixelbayes.evaluation.explanation import explain as ratios
from pixelbayes.evaluation.measure import Measurement, measure
from pixelbayes.evaluation.sample_folder import file_stems
from pixelbayes.experiments.run_folder import check_folder
from pixelbayes.images.preprocessing import open_image
from pixelbayes.metrics.ood import beyond_limits, outlier_scores
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.plots import explanations, save_figure
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import csv_text, write_text
from pixelbayes.utils.progress import tracker


def classify(
    run: str | Path, images: list[Path], *, device: str = "auto", **how: Any
) -> tuple[Checkpoint, Measurement]:
    """Scores image files, and those in folders, under every class of a network.

    `how` are views, masks, combine and plain of `measure`.

    Raises:
        InputError: If there is no image, or files cannot be read: all of them at once.
    """
    trained = checkpoint.load(run, pick_device(device))
    return trained, _measured(trained, images, **how)


def _measured(trained: Checkpoint, images: Sequence[Path], **how: Any) -> Measurement:
    files = [file for path in images for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    files = [file for file in files if not file.name.startswith(".")]
    pixels, faults = [], []
    for file in files:
        try:
            pixels.append(trained.preprocessing(open_image(file)))
        except InputError as error:
            faults.append(str(error))
    if faults or not pixels:
        raise InputError.listing(faults or [f"{', '.join(map(str, images))}: no image to classify; name image files"])
    unlabelled = torch.full((len(pixels),), NO_LABEL)
    split = Split(torch.stack(pixels), unlabelled, tuple(map(str, files)))
    return measure(trained, split, **how, track=tracker("scoring"))


def unlike_training(trained: Checkpoint, measurement: Measurement) -> list[tuple[str, ...]] | None:
    """For each image the scores that hardly any image like those of training reaches; see `evaluation.outliers`.

    None where nothing was fitted by `calibrate` to these weights, and to as many views.
    """
    fitted = trained.calibration
    typical = fitted.typical if fitted and fitted.views == measurement.views else None
    if typical is None or measurement.log_marginal is None:
        return None
    images, levels = measurement.split.pixels, trained.preprocessing.levels
    scores = outlier_scores(measurement.log_marginal, images, levels, typical.bits_per_dim)
    return beyond_limits(scores, typical)


def explain(
    run: str | Path,
    images: list[Path],
    out: Path,
    *,
    classes: tuple[str, str] | None = None,
    device: str = "auto",
) -> tuple[Checkpoint, dict[str, Explanation]]:
    """Shows which pixels decided between two classes, into `NAME.png`, `NAME.svg` and `NAME.csv` for each image.

    Where two images have one name, all are numbered. The csv holds the log-likelihood ratio of every pixel, in nats,
    row by row.

    Args:
        run: A run folder or weights file.
        images: Image files, and folders of them.
        out: The folder to write into.
        classes: Names or numbers of the class to explain and the one to set it against; for each image the likeliest
            two if not given.

    Returns:
        The network, and what was found, by the image's file.

    Raises:
        InputError: If a class is unknown, both are the same, or files cannot be read.
    """
    check_folder(out)
    trained = checkpoint.load(run, pick_device(device))
    chosen = classes and tuple(map(trained.label, classes))
    if len(trained.class_names) < 2 or (chosen and chosen[0] == chosen[1]):
        raise InputError(f"classes are {', '.join(classes or trained.class_names)}, expected two that differ")
    measurement = _measured(trained, images)
    pairs = [(chosen[0], chosen[1])] * len(measurement.split) if chosen else rivals(measurement.log_posterior)
    found = ratios(trained, measurement.split.pixels, measurement.log_posterior, pairs)
    stems = file_stems([Path(file).stem for file in measurement.split.names])
    for name, explanation in zip(stems, found, strict=True):
        figure = explanations([explanation], trained.preprocessing.levels, trained.class_names)
        for suffix in (".png", ".svg"):
            save_figure(figure, out / f"{name}{suffix}")
        write_text(out / f"{name}.csv", csv_text(explanation.ratio.tolist()))
    return trained, dict(zip(measurement.split.names, found, strict=True))
