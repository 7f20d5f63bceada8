"""Prediction sets: the classes that an image may have, such that its own class is among them with a given probability.

Split conformal prediction with the score 1 - p(label | x); Sadinle, Lei and Wasserman (2019), Least ambiguous
set-valued classifiers with bounded error levels, https://arxiv.org/abs/1609.00451. The probability is guaranteed on
average over images that are drawn like those that the threshold was fitted to, whatever the posterior is worth.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from pixelbayes.metrics.classification import wilson_interval

COVERAGE = 0.95


def fit_set_threshold(posterior: Tensor, labels: Tensor, coverage: float) -> float:
    """The smallest p(c | x) of a class in a prediction set.

    Of n images it is the ceil((n + 1) coverage)-th largest p(label | x). If n is smaller than that number, it is 0, and
    the sets hold every class.

    Args:
        posterior: p(c | x), (N, Y). That of an image must not depend on its own label, so a temperature that was fitted
            to the same images must be cross-fitted.
        labels: int64 (N,), in -1 .. Y-1; images with the label -1 (unknown) are left out.
        coverage: The probability that a set holds the class of its image, above 0 and below 1.
    """
    labelled = labels >= 0
    own = posterior[labelled].gather(1, labels[labelled, None]).flatten().sort(descending=True).values
    rank = math.ceil((len(own) + 1) * coverage - 1e-9)  # without the last digits of 0.95 * 20
    return float(own[rank - 1]) if rank <= len(own) else 0.0


def prediction_sets(posterior: Tensor, threshold: float) -> Tensor:
    """The classes in the set of each image, bool (N, Y), from p(c | x), (N, Y); the most probable one always is."""
    return (posterior >= threshold) | (posterior == posterior.amax(dim=1, keepdim=True))


def set_members(sets: Tensor, class_names: Sequence[str]) -> list[tuple[str, ...]]:
    """The names of the classes in each set, for sets bool (N, Y) and Y names."""
    return [tuple(name for name, held in zip(class_names, row, strict=True) if held) for row in sets.tolist()]


@dataclass(frozen=True)
class SetQuality:
    """How often prediction sets hold the label, and how large they are."""

    n: int
    """number of labelled images"""
    coverage: float
    """share of them whose set holds their label"""
    interval: tuple[float, float]
    """95%, Wilson"""
    mean_size: float
    """mean number of classes in a set"""

    @classmethod
    def of(cls, sets: Tensor, labels: Tensor) -> "SetQuality | None":
        """The quality of sets, bool (N, Y), for labels, int64 (N,), -1 where unknown; None if no label is known."""
        labelled = labels >= 0
        sets, labels = sets[labelled], labels[labelled]
        n = len(labels)
        if n == 0:
            return None
        held = int(sets.gather(1, labels[:, None]).sum())
        return cls(n, held / n, wilson_interval(held, n), float(sets.sum(dim=1).double().mean()))


def set_metrics(sets: Tensor, labels: Tensor, class_names: Sequence[str]) -> dict[str, Any]:
    """The quality of prediction sets, overall and by class of the label, as plain values for JSON.

    Args:
        sets: bool (N, Y).
        labels: int64 (N,), -1 where unknown.
        class_names: Y names.
    """
    by_class = {
        name: SetQuality.of(sets, torch.where(labels == label, labels, -1)) for label, name in enumerate(class_names)
    }
    overall = SetQuality.of(sets, labels)
    return {
        **(asdict(overall) if overall else {}),
        "per_class": {name: asdict(quality) for name, quality in by_class.items() if quality},
    }
