"""How far apart two sets of features are, with no assumption on their shape and no bias."""

from typing import NamedTuple

import torch
from torch import Tensor

from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import permutation

MOST = 1000  # images in a subset, as in Binkowski et al. (2018)


class KernelDistance(NamedTuple):
    """KID, and how much it moves from one subset to another."""

    mean: float
    deviation: float | None  # standard deviation over subsets; None if there is but one subset to draw


def squared_mmd(a: Tensor, b: Tensor) -> float:
    """The unbiased estimate of MMD^2 between features a (m, D) and b (n, D); it may be negative.

    Gretton et al. (2012), A kernel two-sample test, Eq. 3: means of k over pairs of different images within a, within
    b, and minus twice that across, with k(x, y) = (x . y / D + 1)^3 (Binkowski et al., 2018).

    Raises:
        InputError: If a set has fewer than two images.
        ValueError: If shapes do not fit.
    """
    _check(a, b)
    a, b = a.double(), b.double()
    return float(_mean_of_pairs(a) + _mean_of_pairs(b) - 2 * _kernel(a, b).mean())


def kernel_distance(
    a: Tensor, b: Tensor, *, subsets: int = 100, subset_size: int | None = None, seed: int = 0
) -> KernelDistance:
    """KID: `squared_mmd`, its mean and deviation over random subsets drawn from both sets without replacement.

    Binkowski et al. (2018), https://arxiv.org/abs/1801.01401. Where FID depends on how many images there are, its
    expectation does not; for two sets of the same distribution it is 0.

    Args:
        a, b: Features, (m, D) and (n, D).
        subsets: How many to draw.
        subset_size: Images of each set in a subset. By default half the smaller set, at most 1000 and at least 2:
            were it all of both, every subset would be the same and the deviation a false 0.
        seed: Of the draws.

    Raises:
        InputError: If a set has fewer than two images, or features are not finite.
        ValueError: If shapes or subsets do not fit.
    """
    _check(a, b)
    smaller = min(len(a), len(b))
    size = max(2, min(MOST, smaller // 2)) if subset_size is None else subset_size
    if subsets < 1 or (subset_size is not None and not 2 <= size <= smaller):
        raise ValueError(f"{subsets} subsets of {size}, expected 1 or more of 2 to {smaller} images")
    if size >= max(len(a), len(b)):
        return KernelDistance(_finite(torch.tensor(squared_mmd(a, b))), None)
    found = torch.tensor(
        [
            squared_mmd(
                a[permutation(seed, "kid a", draw, len(a), a.device)[:size]],
                b[permutation(seed, "kid b", draw, len(b), b.device)[:size]],
            )
            for draw in range(subsets)
        ],
        dtype=torch.float64,
    )
    return KernelDistance(_finite(found.mean()), float(found.std()) if subsets > 1 else None)


def _check(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features have shapes {tuple(a.shape)} and {tuple(b.shape)}, expected (m, D) and (n, D)")
    if min(len(a), len(b)) < 2:
        raise InputError(f"a kernel distance needs 2 images or more in each set, here are {len(a)} and {len(b)}")


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _mean_of_pairs(a: Tensor) -> Tensor:
    """Mean of k(x, y) over x and y that are not the same image."""
    k = _kernel(a, a)
    return (k.sum() - k.trace()) / (len(a) * (len(a) - 1))


def _finite(value: Tensor) -> float:
    if not value.isfinite():
        raise InputError("features are not finite, or too large to be cubed; check the extractor's weights")
    return float(value)
