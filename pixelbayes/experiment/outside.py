"""How well a network tells images of another kind from those of a split."""

import dataclasses
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.checkpoint import Checkpoint
from pixelbayes.data import Split, load_data
from pixelbayes.evaluation.figures import separation
from pixelbayes.evaluation.measure import Measurement, check_fit
from pixelbayes.evaluation.outliers import auroc, fit_typical, outlier_scores
from pixelbayes.experiment.measuring import data_for, measured


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
