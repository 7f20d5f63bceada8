"""Accuracy, its confidence interval, and precision, recall and F1 of each class."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from pixelbayes.utils.errors import InputError


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95% score interval (low, high) of a proportion: all p that a z-test of these counts does not reject.

    Wilson (1927), Probable inference: (p + z^2/2n +- z sqrt(p (1-p) / n + z^2/4n^2)) / (1 + z^2/n), with the normal
    quantile z and p = successes / n. Unlike p +- z s, the interval stays in [0, 1] and has a positive width even for 20
    of 20. It is (0, 1) for n = 0.

    >>> low, high = wilson_interval(95, 100)
    >>> print(f"{low:.4f} {high:.4f}")
    0.8882 0.9785

    Raises:
        ValueError: If the counts are not 0 <= successes <= n.
    """
    from scipy.stats import binomtest  # takes a second to import

    if n == successes == 0:
        return 0.0, 1.0
    interval = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class ClassScore:
    """One class against all others. A ratio with denominator 0 (never predicted, or no image) counts as 0."""

    precision: float
    """fraction of the images predicted as this class that belong to it, TP / (TP + FP)"""
    recall: float
    """fraction of the images of this class that are predicted as it, TP / (TP + FN)"""
    f1: float
    """harmonic mean of the two, 2 TP / (2 TP + FP + FN)"""
    support: int
    """number of images of this class"""


@dataclass(frozen=True)
class Classification:
    """Metrics of predicted against true classes."""

    accuracy: float
    """fraction of correct predictions"""
    accuracy_interval: tuple[float, float]
    """95%, Wilson"""
    macro_f1: float
    """mean of F1 over the classes that occur as a label or as a prediction; a class that never occurs has no F1"""
    per_class: dict[str, ClassScore]
    """by class name, in the order of the labels"""
    confusion: tuple[tuple[int, ...], ...]
    """Y x Y counts; rows: true class, columns: predicted class"""
    n: int
    """number of labelled images"""

    @classmethod
    def of(
        cls, predicted: Tensor, labels: Tensor, class_names: Sequence[str], source: str = "the data"
    ) -> "Classification":
        """Compares predictions with labels.

        Args:
            predicted: int64 (N,), in 0 .. Y-1.
            labels: int64 (N,), in -1 .. Y-1; images with the label -1 (unknown) are left out.
            class_names: The Y names, all different.
            source: Name of the data in an error message.

        Raises:
            InputError: If no image has a label.
            ValueError: If shapes, values or names do not fit each other.
        """
        from torchmetrics.functional.classification import multiclass_confusion_matrix  # takes seconds to import

        _check(predicted, labels, class_names)
        labelled = labels >= 0
        if not labelled.any():
            raise InputError(f"{source} has no labels: usable for everything but accuracy")
        confusion = multiclass_confusion_matrix(predicted[labelled], labels[labelled], len(class_names))  # (Y, Y)
        true_positives = confusion.diagonal().tolist()
        num_predicted, support = confusion.sum(0).tolist(), confusion.sum(1).tolist()
        scores = [
            ClassScore(precision=_ratio(tp, p), recall=_ratio(tp, s), f1=_ratio(2 * tp, p + s), support=s)
            for tp, p, s in zip(true_positives, num_predicted, support, strict=True)
        ]
        occurring = [score.f1 for score, p in zip(scores, num_predicted, strict=True) if p + score.support]
        n = sum(support)
        return cls(
            accuracy=sum(true_positives) / n,
            accuracy_interval=wilson_interval(sum(true_positives), n),
            macro_f1=sum(occurring) / len(occurring),
            per_class=dict(zip(class_names, scores, strict=True)),
            confusion=tuple(map(tuple, confusion.tolist())),
            n=n,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, tuples and numbers for JSON."""
        return asdict(self)


def _check(predicted: Tensor, labels: Tensor, class_names: Sequence[str]) -> None:
    if predicted.shape != labels.shape or labels.ndim != 1:
        raise ValueError(
            f"predicted and labels have shapes {tuple(predicted.shape)} and {tuple(labels.shape)}, expected (N,) twice"
        )
    if not 2 <= len(set(class_names)) == len(class_names):
        raise ValueError(f"class names {list(class_names)}, expected two or more, all different")
    for name, values, lowest in (("predicted", predicted, 0), ("labels", labels, -1)):
        if ((values < lowest) | (values >= len(class_names))).any():
            raise ValueError(
                f"{name} contains values in {values.min()} .. {values.max()}, "
                f"expected {lowest} .. {len(class_names) - 1}"
            )


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else 0.0
