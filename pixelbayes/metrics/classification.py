"""How often the classifier is right, and how sure of that a finite test set lets us be."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from pixelbayes.utils.errors import InputError


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval (low, high) of a proportion: every p that a z-test on these counts would not reject.

    Wilson (1927), Probable inference: (p + z^2/2n +- z sqrt(p (1-p) / n + z^2/4n^2)) / (1 + z^2/n), with z the normal
    quantile and p = successes / n. Unlike the textbook's p +- z s it stays in [0, 1], and 20 of 20 does not pass for
    certainty. With n = 0 nothing is known: (0, 1).

    >>> low, high = wilson_interval(95, 100)
    >>> print(f"{low:.4f} {high:.4f}")
    0.8882 0.9785
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}, expected 0 <= successes <= n")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, expected a number between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (successes + z**2 / 2) / (n + z**2)
    half = z * sqrt(_ratio(successes * (n - successes), n) + z**2 / 4) / (n + z**2)
    return (max(0.0, centre - half) if successes else 0.0), (min(1.0, centre + half) if successes < n else 1.0)


@dataclass(frozen=True)
class ClassScore:
    """One class against all others; a ratio whose denominator is 0 (never predicted, never met) counts as 0."""

    precision: float  # of the images called this class, the share that are
    recall: float  # of the images of this class, the share called so
    f1: float  # harmonic mean of the two, 2 TP / (2 TP + FP + FN)
    support: int  # images of this class


@dataclass(frozen=True)
class Classification:
    """Predicted against true classes.

    `macro_f1` is the plain mean of F1 over the classes that occur, as a label or as a prediction: a class that neither
    data nor classifier ever names would only pull it to 0.
    """

    accuracy: float
    accuracy_interval: tuple[float, float]  # 95%, Wilson
    macro_f1: float
    per_class: dict[str, ClassScore]  # in the order of the labels
    confusion: tuple[tuple[int, ...], ...]  # Y x Y counts; rows: true class, columns: predicted
    n: int  # labelled images

    @classmethod
    def of(
        cls, predicted: Tensor, labels: Tensor, class_names: Sequence[str], source: str = "the data"
    ) -> "Classification":
        """Compares predictions with labels; images whose label is -1 (unknown) are left out.

        Args:
            predicted: int64 (N,), in 0 .. Y-1.
            labels: int64 (N,), in -1 .. Y-1.
            class_names: The Y names, all different.
            source: What the data is called in an error.

        Raises:
            InputError: If no image has a label.
            ValueError: If shapes, values or names do not fit each other.
        """
        num_classes = len(class_names)
        _check(predicted, labels, class_names)
        labelled = labels >= 0
        if not labelled.any():
            raise InputError(f"{source} has no labels: usable for everything but accuracy")
        confusion = multiclass_confusion_matrix(predicted[labelled], labels[labelled], num_classes)  # (Y, Y)
        hits = confusion.diagonal().tolist()
        called, support = confusion.sum(0).tolist(), confusion.sum(1).tolist()
        scores = [
            ClassScore(_ratio(tp, c), _ratio(tp, s), _ratio(2 * tp, c + s), s)
            for tp, c, s in zip(hits, called, support, strict=True)
        ]
        occurring = [score.f1 for score, c in zip(scores, called, strict=True) if c + score.support]
        n = sum(support)
        return cls(
            accuracy=sum(hits) / n,
            accuracy_interval=wilson_interval(sum(hits), n),
            macro_f1=sum(occurring) / len(occurring),
            per_class=dict(zip(class_names, scores, strict=True)),
            confusion=tuple(map(tuple, confusion.tolist())),
            n=n,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, tuples and numbers, ready for JSON."""
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
                f"{name} lies in {values.min()} .. {values.max()}, expected {lowest} .. {len(class_names) - 1}"
            )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
