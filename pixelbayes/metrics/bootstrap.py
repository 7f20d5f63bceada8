"""Confidence intervals by bootstrap resampling of the test images."""

import torch
from torch import Tensor

RESAMPLES = 1000
MAX_ELEMENTS = 2**22  # of a temporary tensor, 32 MiB in float64 whatever the number of images

Interval = tuple[float, float]
"""Lower and upper bound."""


def chunk_sizes(resamples: int, n: int) -> list[int]:
    """Splits the resamples of n images into chunks of at most MAX_ELEMENTS elements.

    >>> chunk_sizes(5, n=2**21)
    [2, 2, 1]
    """
    size = max(1, MAX_ELEMENTS // n)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def resampled_means(values: Tensor, generator: torch.Generator, resamples: int = RESAMPLES) -> Tensor:
    """Means over n images drawn with replacement from the n images (Efron, 1979, Bootstrap methods).

    Args:
        values: What each image contributes to each of V means, float64 (n, V).
        generator: Source of randomness.
        resamples: R, number of resamples.

    Returns:
        (R, V).
    """
    n = len(values)
    means = []
    for size in chunk_sizes(resamples, n):
        drawn = torch.randint(n, (size, n), generator=generator)
        counts = torch.zeros(size, n, dtype=values.dtype).scatter_add(1, drawn, values.new_ones(()).expand(drawn.shape))
        means.append(counts @ values / n)
    return torch.cat(means)


def percentile_interval(resampled: Tensor) -> Interval:
    """The middle 95% of the resampled values of a metric, (R,)."""
    # "nearest", because linear interpolation between infinite values is NaN
    low, high = resampled.quantile(resampled.new_tensor([0.025, 0.975]), interpolation="nearest").tolist()
    return low, high


def basic_interval(estimate: float, resampled: Tensor) -> Interval:
    """95% interval of a biased metric that is at least 0: the percentile interval, reflected at the estimate.

    Davison and Hinkley (1997), Bootstrap methods and their application, Eq. 5.6. Resampling increases a mean of
    absolute values. The percentile interval would contain this bias twice and exclude a true value of 0.

    Args:
        estimate: The metric on the test images.
        resampled: The metric on each resample, (R,).
    """
    low, high = percentile_interval(resampled)
    return max(0.0, 2 * estimate - high), max(0.0, 2 * estimate - low)
