"""Whether a posterior means what it says."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelbayes.metrics.bootstrap import (
    RESAMPLES,
    Interval,
    basic_interval,
    percentile_interval,
    portions,
    resampled_means,
)
from pixelbayes.metrics.classification import wilson_interval

BINS = 15  # of equal width, as in Guo et al. (2017)


@dataclass(frozen=True)
class Bin:
    """The images whose predicted class has a probability between two bounds: one point of a reliability diagram."""

    low: float  # the probability is above it,
    high: float  # and at most this
    count: int  # images, at least 1
    confidence: float  # mean of the probability
    accuracy: float  # the share that is right
    accuracy_interval: Interval  # 95%, Wilson


@dataclass(frozen=True)
class Calibration:
    """How good p(c | x) is as a probability; 0 is best for nll, Brier score and calibration error.

    A finite test set shows an error even where there is none. `ece_if_calibrated` is what to expect if each label were
    drawn from p(c | x) itself (consistency resampling: Bröcker and Smith, 2007; Vaicenavicius et al., 2019,
    https://arxiv.org/abs/1902.06977, section 4), and `p_value` the probability of an error as large as the one found.
    """

    nll: float  # mean of -log p(label | x), in nats
    brier: float  # mean of the sum over c of (p(c | x) - [c is the label])^2, at most 2
    ece: float  # expected calibration error: mean over images of |accuracy - confidence| of the image's bin
    nll_interval: Interval  # 95%, bootstrap over images, as are the next two
    brier_interval: Interval
    ece_interval: Interval
    ece_if_calibrated: float  # mean, over draws of the labels
    ece_if_calibrated_95: float  # 95 in 100 draws show at most this
    p_value: float
    bins: tuple[Bin, ...]  # those that hold an image

    @property
    def rejected(self) -> bool:
        """Whether the labels contradict p(c | x) at the level of 5%; False is no proof that they agree."""
        return self.p_value < 0.05

    @classmethod
    def of(cls, log_posterior: Tensor, labels: Tensor, *, seed: int = 0) -> "Calibration | None":
        """Compares a posterior with labels; images whose label is -1 (unknown) are left out, None if that is all.

        Args:
            log_posterior: log p(c | x), (N, Y), in nats: the logarithm, since p itself may underflow to 0.
            labels: int64 (N,), in -1 .. Y-1.
            seed: Decides the resampled images and labels.

        >>> found = Calibration.of(torch.tensor([[0.8, 0.2], [0.8, 0.2]]).log(), torch.tensor([0, 1]))
        >>> print(f"{found.nll:.3f} {found.brier:.2f} {found.ece:.1f}")
        0.916 0.68 0.3
        """
        labelled = labels >= 0
        if not labelled.any():
            return None
        log_p, truth = log_posterior[labelled].double(), labels[labelled]
        p = log_p.exp()
        confidence, predicted = p.max(dim=1)
        right = (predicted == truth).double()
        member = _bins(confidence)  # (n, BINS)
        nll = -log_p.gather(1, truth[:, None])
        brier = (p - F.one_hot(truth, p.shape[1])).square().sum(dim=1, keepdim=True)
        values = torch.cat([nll, brier, (right - confidence)[:, None] * member], dim=1)  # (n, 2 + BINS)

        generator = torch.Generator().manual_seed(seed)
        found_nll, found_brier, ece = _figures(values.mean(dim=0, keepdim=True))[0].tolist()
        # an infinite nll is 0 x inf wherever its image was not drawn
        again = _figures(resampled_means(values, generator).nan_to_num(nan=torch.inf, posinf=torch.inf))
        chance = _ece_if_calibrated(confidence, member, generator)
        as_large = int((chance >= ece - 1e-12).sum())  # sums of another order differ in the last digits
        return cls(
            nll=found_nll,
            brier=found_brier,
            ece=ece,
            nll_interval=percentile_interval(again[:, 0]),
            brier_interval=percentile_interval(again[:, 1]),
            ece_interval=basic_interval(ece, again[:, 2]),
            ece_if_calibrated=float(chance.mean()),
            ece_if_calibrated_95=float(chance.quantile(0.95)),
            p_value=(1 + as_large) / (1 + len(chance)),
            bins=_reliability(confidence, right, member),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, ready for JSON; the bins under "reliability"."""
        plain = asdict(self)
        bins = [one | {"accuracy_interval": list(one["accuracy_interval"])} for one in plain.pop("bins")]
        lists = {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
        return {**lists, "calibration_rejected": self.rejected, "reliability": bins}


def _bins(confidence: Tensor) -> Tensor:
    """Which bin each image is in, as ones among zeros: (n,) -> float64 (n, BINS)."""
    return F.one_hot((confidence * BINS).ceil().long().clamp(1, BINS) - 1, BINS).double()


def _figures(means: Tensor) -> Tensor:
    """Nll, Brier score and ECE, (R, 3), of the means of what each image contributes, (R, 2 + BINS)."""
    return torch.cat([means[:, :2], means[:, 2:].abs().sum(dim=1, keepdim=True)], dim=1)


def _ece_if_calibrated(confidence: Tensor, member: Tensor, generator: torch.Generator) -> Tensor:
    """The calibration errors, (RESAMPLES,), if images were as often right as p(c | x) has it."""
    n = len(confidence)
    errors = []
    for portion in portions(RESAMPLES, n):
        # the label is the predicted class with the probability that the posterior gives that class
        right = torch.rand(portion, n, generator=generator, dtype=torch.float64) < confidence
        errors.append(((right.double() - confidence) @ member / n).abs().sum(dim=1))
    return torch.cat(errors)


def _reliability(confidence: Tensor, right: Tensor, member: Tensor) -> tuple[Bin, ...]:
    counts = member.sum(dim=0).long().tolist()
    surety, hits = (confidence @ member).tolist(), (right @ member).long().tolist()
    return tuple(
        Bin(i / BINS, (i + 1) / BINS, count, surety[i] / count, hits[i] / count, wilson_interval(hits[i], count))
        for i, count in enumerate(counts)
        if count
    )
