"""How well a network tells images of another kind from those of a split."""

import dataclasses
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.checkpoint import Checkpoint
from pixelbayes.data import load_data
from pixelbayes.evaluation.figures import separation
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.evaluation.outliers import auroc, fit_typical, outlier_scores
from pixelbayes.experiment.measuring import data_for, measured


def set_against(
    trained: Checkpoint, inside: Measurement, source: str, split: str, name: str
) -> tuple[dict[str, Any], Figure]:
    """Scores the images of a split of other data, whatever their classes, beside those that were measured.

    Args:
        trained: The network.
        inside: Its measurement of images like those of training.
        source: The other data, as in `DataConfig`.
        split: The split of it.
        name: What to call the images inside.

    Returns:
        For each score the area under its ROC curve, with its interval, as plain values; and the figure.

    Raises:
        InputError: If the other data cannot be read.
    """
    data = load_data(dataclasses.replace(data_for(trained, source), class_names=()))  # their classes are their own
    unlabelled = data.split(split).unlabelled()
    outside = measured(trained, unlabelled, f"{source}, {split}")
    typical = trained.calibration and trained.calibration.typical
    mean = (typical or fit_typical(_marginal(inside), inside.split.pixels, data.preprocessing.levels)).bits_per_dim
    near, far = (
        outlier_scores(_marginal(of), of.split.pixels, data.preprocessing.levels, mean) for of in (inside, outside)
    )
    found = {score: dataclasses.asdict(auroc(near[score], far[score])) for score in near}
    return {"data": source, "split": split, "scores": found}, separation(near, far, (name, f"{source}, {split}"))


def _marginal(measurement: Measurement) -> Tensor:
    if measurement.log_marginal is None:
        raise ValueError("the measurement has no log p(x), expected that of a density")
    return measurement.log_marginal
