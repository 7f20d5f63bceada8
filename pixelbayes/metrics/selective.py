"""How good the classifier is where it may say "I do not know"."""

from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor

COVERAGES = (0.5, 0.8, 0.9)  # that are worth a number each


def log_doubt(log_posterior: Tensor) -> Tensor:
    """log of 1 - max over c of p(c | x), (N,), from log p(c | x), (N, Y), in nats.

    It orders images as their confidence does, and goes on doing so where that rounds to 1.
    """
    predicted = log_posterior.argmax(dim=1, keepdim=True)
    return log_posterior.double().scatter(1, predicted, -torch.inf).logsumexp(dim=1)


def surest_mistakes(log_posterior: Tensor, labels: Tensor, count: int = 8) -> list[int]:
    """Indices of the images that are wrong and least in doubt, the surest first; a label of -1 (unknown) is not wrong.

    Args:
        log_posterior: log p(c | x), (N, Y), in nats.
        labels: int64 (N,), in -1 .. Y-1.
        count: How many at most.
    """
    wrong = (log_posterior.argmax(dim=1) != labels) & (labels >= 0)
    mistakes = wrong.nonzero().flatten()
    return mistakes[log_doubt(log_posterior)[mistakes].argsort(stable=True)][:count].tolist()


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Accuracy among the surest images, by how many of all they are; 1 - accuracy is the risk.

    El-Yaniv and Wiener (2010), On the foundations of noise-free selective classification; Geifman and El-Yaniv (2017),
    https://arxiv.org/abs/1705.08500. Images equally sure may stand in any order, and the mean over orders is taken.

    Args:
        coverage: 1/n, 2/n, ..., 1; float64 (n,).
        accuracy: Of the surest 1, 2, ..., n images; float64 (n,).
    """

    coverage: Tensor
    accuracy: Tensor

    @property
    def aurc(self) -> float:
        """Area under the risk-coverage curve: the mean risk over all coverages, 0 at best."""
        return float((1 - self.accuracy).mean())

    def accuracy_at(self, coverage: float) -> float:
        """Accuracy among the surest images, so many that they are this share of all or the next more.

        Raises:
            ValueError: If the share is not above 0 and at most 1.
        """
        if not 0 < coverage <= 1:
            raise ValueError(f"coverage is {coverage}, expected a share above 0 and at most 1")
        n = len(self.coverage)
        return float(self.accuracy[ceil(round(coverage * n, 9)) - 1])  # 0.07 of 100 is 7, but not in floating point

    def as_dict(self) -> dict[str, Any]:
        """AURC, and accuracy at each of COVERAGES; ready for JSON."""
        return {"aurc": self.aurc, "accuracy_at": {f"{share:.0%}": self.accuracy_at(share) for share in COVERAGES}}

    @classmethod
    def of(cls, log_posterior: Tensor, labels: Tensor) -> "RiskCoverage | None":
        """Orders images by doubt; those whose label is -1 (unknown) are left out, None if that is all.

        Args:
            log_posterior: log p(c | x), (N, Y), in nats.
            labels: int64 (N,), in -1 .. Y-1.
        """
        labelled = labels >= 0
        if not labelled.any():
            return None
        log_p, truth = log_posterior[labelled], labels[labelled]
        doubt, order = log_doubt(log_p).sort()
        right = (log_p.argmax(dim=1) == truth).double()[order]
        _, block, size = doubt.unique_consecutive(return_inverse=True, return_counts=True)
        share = torch.zeros(len(size), dtype=torch.float64).index_add(0, block, right) / size  # right, of each block
        count = torch.arange(1, len(truth) + 1, dtype=torch.float64)
        return cls(coverage=count / len(truth), accuracy=share[block].cumsum(dim=0) / count)
