"""Classifies and explains image files."""

from collections.abc import Sequence
from pathlib import Path

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.trained import Trained, TrainedPixelCNN
from pixelbayes.evaluation.explanation import Explanation, contrast_classes
from pixelbayes.evaluation.explanation import explain as explain_images
from pixelbayes.evaluation.measure import DEFAULT_SCORING, Measurement
from pixelbayes.evaluation.sample_folder import file_stems
from pixelbayes.experiments.claim import check_folder
from pixelbayes.experiments.predict import measure_images
from pixelbayes.inference import ScoringConfig
from pixelbayes.metrics.ood import exceeded_limits, ood_scores
from pixelbayes.plots import explanations, save_figure
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import csv_text, write_text
from pixelbayes.utils.progress import tracker
from pixelbayes.utils.run_folder import FIGURE_FORMATS


def classify(
    run: str | Path, images: Sequence[Path], scoring: ScoringConfig = DEFAULT_SCORING, *, device: str = "auto"
) -> tuple[TrainedPixelCNN, Measurement]:
    """Scores image files under every class.

    Args:
        run: A run folder, a weights file or the name of a bundled network.
        images: Image files, and folders of them.
        scoring: How to score the images.
        device: The device to compute on.

    Raises:
        InputError: If there is no image, or files cannot be read; the message lists all of them.
    """
    trained = checkpoint.load(run, pick_device(device))
    return trained, measure_images(trained, images, scoring, track=tracker("scoring images"))


def out_of_distribution(trained: Trained, measurement: Measurement) -> list[tuple[str, ...]] | None:
    """For each image the out-of-distribution scores that exceed their limits; see `metrics.ood`.

    Returns:
        None if the network is not calibrated for this number of views.
    """
    record = trained.calibration
    reference = record.ood if record and record.views == measurement.views else None
    if reference is None or measurement.log_marginal is None:
        return None
    levels = trained.image_shape.levels
    scores = ood_scores(measurement.log_marginal, measurement.split.pixels, levels, reference.bits_per_dim)
    return exceeded_limits(scores, reference)


def explain(
    run: str | Path,
    images: Sequence[Path],
    out: Path,
    *,
    classes: tuple[str, str] | None = None,
    device: str = "auto",
) -> tuple[TrainedPixelCNN, dict[str, Explanation]]:
    """Shows which pixels decide between two classes, in `NAME.png`, `NAME.svg` and `NAME.csv` for each image.

    If two images have the same name, all are numbered. The csv holds the log-likelihood ratio of every pixel, in nats,
    row by row.

    Args:
        run: A run folder, a weights file or the name of a bundled network.
        images: Image files, and folders of them.
        out: The folder to write to.
        classes: Names or numbers of the class to explain and of the class to compare it with; the two most probable
            classes of each image by default.
        device: The device to compute on.

    Returns:
        The network, and the explanation of each image by its file.

    Raises:
        InputError: If a class is unknown, both are the same, or files cannot be read.
    """
    check_folder(out)
    trained = checkpoint.load(run, pick_device(device))
    chosen = classes and tuple(map(trained.label, classes))
    if len(trained.class_names) < 2 or (chosen and chosen[0] == chosen[1]):
        raise InputError(f"classes are {', '.join(classes or trained.class_names)}, expected two different ones")
    measurement = measure_images(trained, images, track=tracker("scoring images"))
    pairs = [(chosen[0], chosen[1])] * len(measurement.split) if chosen else contrast_classes(measurement.log_posterior)
    found = explain_images(trained, measurement.split.pixels, measurement.log_posterior, pairs)
    stems = file_stems([Path(file).stem for file in measurement.split.names])
    for name, explanation in zip(stems, found, strict=True):
        figure = explanations([explanation], trained.image_shape.levels, trained.class_names)
        for suffix in FIGURE_FORMATS:
            save_figure(figure, out / f"{name}{suffix}")
        write_text(out / f"{name}.csv", csv_text(explanation.ratio.tolist()))
    return trained, dict(zip(measurement.split.names, found, strict=True))
