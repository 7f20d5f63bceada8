"""Selective classification: accuracy if the classifier may abstain on its least confident images."""

from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor

COVERAGES = (0.5, 0.8, 0.9)
"""Coverages whose accuracy is reported."""


def log_uncertainty(log_posterior: Tensor) -> Tensor:
    """log of 1 - max over c of p(c | x), (N,), from log p(c | x), (N, Y), in nats.

    It orders images by confidence, also where the confidence rounds to 1.
    """
    predicted = log_posterior.argmax(dim=1, keepdim=True)
    return log_posterior.double().scatter(1, predicted, -torch.inf).logsumexp(dim=1)


def most_confident_errors(log_posterior: Tensor, labels: Tensor, count: int = 8) -> list[int]:
    """Indices of the misclassified images with the highest confidence, in order of decreasing confidence.

    Args:
        log_posterior: log p(c | x), (N, Y), in nats.
        labels: int64 (N,), in -1 .. Y-1; an image with the label -1 (unknown) is no error.
        count: Largest number of indices.
    """
    wrong = (log_posterior.argmax(dim=1) != labels) & (labels >= 0)
    errors = wrong.nonzero().flatten()
    indices: list[int] = errors[log_uncertainty(log_posterior)[errors].argsort(stable=True)][:count].tolist()
    return indices


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Accuracy among the most confident images, as a function of coverage, their fraction; 1 - accuracy is the risk.

    El-Yaniv and Wiener (2010), On the foundations of noise-free selective classification; Geifman and El-Yaniv (2017),
    https://arxiv.org/abs/1705.08500. Images of equal confidence have no order; the accuracy is the mean over all
    orders.
    """

    coverage: Tensor
    """1/n, 2/n, ..., 1; float64 (n,)"""
    accuracy: Tensor
    """accuracy among the most confident 1, 2, ..., n images; float64 (n,)"""

    @property
    def aurc(self) -> float:
        """Area under the risk-coverage curve: the mean risk over all coverages; 0 is best."""
        return float((1 - self.accuracy).mean())

    def accuracy_at(self, coverage: float) -> float:
        """Accuracy at the smallest possible coverage that is at least `coverage`.

        Raises:
            ValueError: If the coverage is not above 0 and at most 1.
        """
        if not 0 < coverage <= 1:
            raise ValueError(f"coverage is {coverage}, expected a number above 0 and at most 1")
        n = len(self.coverage)
        return float(self.accuracy[ceil(round(coverage * n, 9)) - 1])  # rounded, because 0.07 * 100 is above 7

    def as_dict(self) -> dict[str, Any]:
        """AURC, and the accuracy at each of COVERAGES, for JSON."""
        return {
            "aurc": self.aurc,
            "accuracy_at": {f"{coverage:.0%}": self.accuracy_at(coverage) for coverage in COVERAGES},
        }

    @classmethod
    def of(cls, log_posterior: Tensor, labels: Tensor) -> "RiskCoverage | None":
        """Orders images by confidence.

        Args:
            log_posterior: log p(c | x), (N, Y), in nats.
            labels: int64 (N,), in -1 .. Y-1; images with the label -1 (unknown) are left out.

        Returns:
            None if no image has a label.
        """
        labelled = labels >= 0
        if not labelled.any():
            return None
        log_p, true = log_posterior[labelled], labels[labelled]
        uncertainty, order = log_uncertainty(log_p).sort()
        correct = (log_p.argmax(dim=1) == true).double()[order]
        _, tie, size = uncertainty.unique_consecutive(return_inverse=True, return_counts=True)
        tie_accuracy = torch.zeros(len(size), dtype=torch.float64).index_add(0, tie, correct) / size
        count = torch.arange(1, len(true) + 1, dtype=torch.float64)
        return cls(coverage=count / len(true), accuracy=tie_accuracy[tie].cumsum(dim=0) / count)
