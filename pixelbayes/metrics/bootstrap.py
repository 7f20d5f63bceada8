"""How far chance moves a figure: test sets drawn again from the one there is."""

import torch
from torch import Tensor

RESAMPLES = 1000
NUMBERS_AT_A_TIME = 2**22  # 32 MiB in float64, whatever the number of images

Interval = tuple[float, float]


def portions(resamples: int, n: int) -> list[int]:
    """Resamples of n images to hold in memory together.

    >>> portions(5, n=2**21)
    [2, 2, 1]
    """
    size = max(1, NUMBERS_AT_A_TIME // n)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def resampled_means(values: Tensor, generator: torch.Generator, resamples: int = RESAMPLES) -> Tensor:
    """Means over as many images, drawn with replacement (Efron, 1979, Bootstrap methods).

    Args:
        values: What each image contributes to each of V means, float64 (n, V).
        generator: What the draws come from.
        resamples: R.

    Returns:
        (R, V).
    """
    n = len(values)
    means = []
    for portion in portions(resamples, n):
        drawn = torch.randint(n, (portion, n), generator=generator)
        counts = torch.zeros(portion, n, dtype=values.dtype).scatter_add(
            1, drawn, values.new_ones(()).expand(drawn.shape)
        )
        means.append(counts @ values / n)
    return torch.cat(means)


def percentile_interval(draws: Tensor) -> Interval:
    """The middle 95% of a figure's resampled values, (R,)."""
    low, high = draws.quantile(
        draws.new_tensor([0.025, 0.975]), interpolation="nearest"
    ).tolist()  # draws may be infinite
    return low, high


def basic_interval(estimate: float, draws: Tensor) -> Interval:
    """95% interval of a figure that is biased, cut off at 0: as far below the estimate as resampling goes above it.

    Davison and Hinkley (1997), Bootstrap methods and their application, Eq. 5.6. A mean of absolute values grows when
    its images are drawn again; the percentile interval would double that bias, and leave out the truth where it is 0.
    """
    low, high = percentile_interval(draws)
    return max(0.0, 2 * estimate - high), max(0.0, 2 * estimate - low)
