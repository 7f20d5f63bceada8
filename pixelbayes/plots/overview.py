"""The pictures that any measurement can show."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.checkpoints.checkpoint import Checkpoint, Trained
from pixelbayes.evaluation.explanation import explain, rivals
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.metrics.selective import surest_mistakes
from pixelbayes.plots import (
    confusion_matrix,
    cosine_map,
    curves,
    explanations,
    image_grid,
    posteriors,
    reliability,
    risk_coverage,
)
from pixelbayes.plots.curves import was_logged
from pixelbayes.plots.quality import MEASURES, quality_curves


def pictures_of(
    checkpoint: Trained, measurement: Measurement, samples: Tensor | None, history: Sequence[Mapping[str, float]]
) -> dict[str, Figure | None]:
    """Figures by the names in `report.captions`; None where there is nothing to show.

    Args:
        checkpoint: The network.
        measurement: What it made of a split.
        samples: uint8 levels (Y, n, C, H, W), images drawn from each class, if there are any.
        history: Rows of its training, if it has any.
    """
    names, levels = checkpoint.class_names, checkpoint.preprocessing.levels
    vectors, calibrated = checkpoint.class_vectors, measurement.calibrated
    mistakes = surest_mistakes(measurement.log_posterior, measurement.split.labels)
    some = handful(measurement)

    def beliefs(images: list[int]) -> Figure:
        return posteriors(
            measurement.split.pixels[images],
            levels,
            measurement.posterior[images],
            names,
            measurement.split.labels[images],
            None if measurement.evidence is None or measurement.log_prob is None else measurement.evidence[images],
            averaged=measurement.combine == "mean",
        )

    def reasons(images: list[int]) -> Figure | None:
        if not isinstance(checkpoint, Checkpoint) or len(names) < 2:
            return None
        log_posterior = measurement.log_posterior[images]
        pairs = rivals(log_posterior, measurement.split.labels[images])
        return explanations(explain(checkpoint, measurement.split.pixels[images], log_posterior, pairs), levels, names)

    return {
        "curves": curves(history, checkpoint.about.get("epoch")) if history else None,
        "quality": quality_curves(history) if was_logged(history, MEASURES.values()) else None,
        "cosines": None if vectors is None else cosine_map(vectors, names),
        "samples": None if samples is None else image_grid(samples, levels, row_labels=names),
        "confusion": confusion_matrix(measurement.classification, names) if measurement.classification else None,
        "reliability": reliability(
            measurement.calibration,
            calibrated.calibration if calibrated else None,
            calibrated.temperature if calibrated else None,
        )
        if measurement.calibration
        else None,
        "risk_coverage": risk_coverage(measurement.selective) if measurement.selective else None,
        "mistakes": beliefs(mistakes) if mistakes else None,
        "posteriors": beliefs(some),
        "explanations": reasons(some),
    }


def handful(measurement: Measurement, count: int = 8) -> list[int]:
    """Indices of images to show: up to a quarter the surest mistakes, the rest spread evenly over the split."""
    mistakes = surest_mistakes(measurement.log_posterior, measurement.split.labels, count // 4)
    others = [i for i in range(len(measurement.split)) if i not in mistakes]
    wanted = min(count - len(mistakes), len(others))
    return [others[i * len(others) // wanted] for i in range(wanted)] + mistakes
