"""Whether a posterior means what it says."""

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 15  # of equal width, as in Guo et al. (2017)


@dataclass(frozen=True)
class Calibration:
    """How good p(c | x) is as a probability; 0 is best for each."""

    nll: float  # mean of -log p(label | x), in nats
    brier: float  # mean of the sum over c of (p(c | x) - [c is the label])^2, at most 2
    ece: float  # expected calibration error: mean over images of |accuracy - confidence| of the image's bin

    @classmethod
    def of(cls, log_posterior: Tensor, labels: Tensor) -> "Calibration | None":
        """Compares a posterior with labels; images whose label is -1 (unknown) are left out, None if that is all.

        Args:
            log_posterior: log p(c | x), (N, Y), in nats: the logarithm, since p itself may underflow to 0.
            labels: int64 (N,), in -1 .. Y-1.

        >>> Calibration.of(torch.tensor([[0.8, 0.2], [0.8, 0.2]]).log(), torch.tensor([0, 1]))
        Calibration(nll=0.916..., brier=0.68..., ece=0.3...)
        """
        labelled = labels >= 0
        if not labelled.any():
            return None
        log_p, truth = log_posterior[labelled].double(), labels[labelled]
        p = log_p.exp()
        confidence, predicted = p.max(dim=1)
        bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
        gap = torch.zeros(BINS, dtype=torch.float64).index_add(0, bins, (predicted == truth).double() - confidence)
        return cls(
            nll=float(-log_p.gather(1, truth[:, None]).mean()),
            brier=float((p - torch.eye(p.shape[1], dtype=p.dtype)[truth]).square().sum(dim=1).mean()),
            ece=float(gap.abs().sum() / len(truth)),
        )
