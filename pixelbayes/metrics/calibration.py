"""Calibration of a posterior: whether its probabilities are the frequencies of correct predictions."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelbayes.metrics.bootstrap import (
    RESAMPLES,
    Interval,
    basic_interval,
    chunk_sizes,
    percentile_interval,
    resampled_means,
)
from pixelbayes.metrics.classification import wilson_interval

BINS = 15  # of equal width, as in Guo et al. (2017)


@dataclass(frozen=True)
class Bin:
    """One point of a reliability diagram: the images whose predicted class has a probability between two bounds."""

    low: float
    """exclusive lower bound of the probability"""
    high: float
    """inclusive upper bound of the probability"""
    count: int
    """number of images, at least 1"""
    confidence: float
    """mean probability of the predicted class"""
    accuracy: float
    """fraction of correct predictions"""
    accuracy_interval: Interval
    """95% Wilson interval"""


@dataclass(frozen=True)
class Calibration:
    """Quality of p(c | x) as a probability; 0 is best for NLL, Brier score and calibration error.

    A finite test set shows a calibration error even if the posterior is calibrated. `ece_if_calibrated` is the expected
    error if each label is drawn from p(c | x) itself (consistency resampling: Bröcker and Smith, 2007; Vaicenavicius et
    al., 2019, https://arxiv.org/abs/1902.06977, section 4). `p_value` is the probability, under the same assumption, of
    an error at least as large as the observed one.
    """

    nll: float
    """mean of -log p(label | x), in nats"""
    brier: float
    """mean of the sum over c of (p(c | x) - [c is the label])^2, at most 2"""
    ece: float
    """expected calibration error: mean over images of |accuracy - confidence| of the bin of the image"""
    nll_interval: Interval
    """95%, bootstrap over images, percentile"""
    brier_interval: Interval
    """95%, bootstrap over images, percentile"""
    ece_interval: Interval
    """95%, bootstrap over images, basic"""
    ece_if_calibrated: float
    """mean over draws of the labels"""
    ece_if_calibrated_95: float
    """95% quantile over draws of the labels"""
    p_value: float
    """fraction of draws of the labels with at least the observed error"""
    bins: tuple[Bin, ...]
    """the bins that contain an image"""

    @property
    def rejected(self) -> bool:
        """Whether the labels reject calibration at the 5% level; False does not prove calibration."""
        return self.p_value < 0.05

    @classmethod
    def of(cls, log_posterior: Tensor, labels: Tensor, *, seed: int = 0) -> "Calibration | None":
        """Compares a posterior with labels.

        Args:
            log_posterior: log p(c | x), (N, Y), in nats; the logarithm, because p itself may underflow to 0.
            labels: int64 (N,), in -1 .. Y-1; images with the label -1 (unknown) are left out.
            seed: Random seed of the resampled images and labels.

        Returns:
            None if no image has a label.

        >>> calibration = Calibration.of(torch.tensor([[0.8, 0.2], [0.8, 0.2]]).log(), torch.tensor([0, 1]))
        >>> print(f"{calibration.nll:.3f} {calibration.brier:.2f} {calibration.ece:.1f}")
        0.916 0.68 0.3
        """
        labelled = labels >= 0
        if not labelled.any():
            return None
        log_p, true = log_posterior[labelled].double(), labels[labelled]
        p = log_p.exp()
        confidence, predicted = p.max(dim=1)
        correct = (predicted == true).double()
        in_bin = _in_bin(confidence)  # (n, BINS)
        nll = -log_p.gather(1, true[:, None])
        brier = (p - F.one_hot(true, p.shape[1])).square().sum(dim=1, keepdim=True)
        values = torch.cat([nll, brier, (correct - confidence)[:, None] * in_bin], dim=1)  # (n, 2 + BINS)

        generator = torch.Generator().manual_seed(seed)
        mean_nll, mean_brier, ece = _nll_brier_ece(values.mean(dim=0, keepdim=True))[0].tolist()
        # an infinite nll times a count of 0 is NaN
        resampled = _nll_brier_ece(resampled_means(values, generator).nan_to_num(nan=torch.inf, posinf=torch.inf))
        if_calibrated = _ece_if_calibrated(confidence, in_bin, generator)
        as_large = int((if_calibrated >= ece - 1e-12).sum())  # the order of summation changes the last digits
        return cls(
            nll=mean_nll,
            brier=mean_brier,
            ece=ece,
            nll_interval=percentile_interval(resampled[:, 0]),
            brier_interval=percentile_interval(resampled[:, 1]),
            ece_interval=basic_interval(ece, resampled[:, 2]),
            ece_if_calibrated=float(if_calibrated.mean()),
            ece_if_calibrated_95=float(if_calibrated.quantile(0.95)),
            p_value=(1 + as_large) / (1 + len(if_calibrated)),
            bins=_bins(confidence, correct, in_bin),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers for JSON; the bins are under "reliability"."""
        plain = asdict(self)
        bins = [one | {"accuracy_interval": list(one["accuracy_interval"])} for one in plain.pop("bins")]
        lists = {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
        return {**lists, "calibration_rejected": self.rejected, "reliability": bins}


def _in_bin(confidence: Tensor) -> Tensor:
    """The bin of each image, one-hot: (n,) -> float64 (n, BINS)."""
    return F.one_hot((confidence * BINS).ceil().long().clamp(1, BINS) - 1, BINS).double()


def _nll_brier_ece(means: Tensor) -> Tensor:
    """The three metrics, (R, 3), from means over images, (R, 2 + BINS), as in `Calibration.of`."""
    return torch.cat([means[:, :2], means[:, 2:].abs().sum(dim=1, keepdim=True)], dim=1)


def _ece_if_calibrated(confidence: Tensor, in_bin: Tensor, generator: torch.Generator) -> Tensor:
    """Calibration errors, (RESAMPLES,), of labels drawn from p(c | x)."""
    n = len(confidence)
    errors = []
    for size in chunk_sizes(RESAMPLES, n):
        # a label drawn from p(c | x) is the predicted class with the probability of that class
        correct = torch.rand(size, n, generator=generator, dtype=torch.float64) < confidence
        errors.append(((correct.double() - confidence) @ in_bin / n).abs().sum(dim=1))
    return torch.cat(errors)


def _bins(confidence: Tensor, correct: Tensor, in_bin: Tensor) -> tuple[Bin, ...]:
    counts = in_bin.sum(dim=0).long().tolist()
    confidences, successes = (confidence @ in_bin).tolist(), (correct @ in_bin).long().tolist()
    return tuple(
        Bin(
            low=i / BINS,
            high=(i + 1) / BINS,
            count=count,
            confidence=confidences[i] / count,
            accuracy=successes[i] / count,
            accuracy_interval=wilson_interval(successes[i], count),
        )
        for i, count in enumerate(counts)
        if count
    )
