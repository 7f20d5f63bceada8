"""Kernel Inception distance (KID): an unbiased distance between two sets of features, without a Gaussian assumption."""

from typing import NamedTuple

import torch
from torch import Tensor

from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import permutation

MAX_SUBSET_SIZE = 1000  # as in Bińkowski et al. (2018)


class KernelDistance(NamedTuple):
    """KID and its variation between subsets."""

    mean: float
    deviation: float | None
    """standard deviation over subsets; None if there is only one subset"""


def squared_mmd(a: Tensor, b: Tensor) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy of features a (m, D) and b (n, D); may be below 0.

    Gretton et al. (2012), A kernel two-sample test, Eq. 3: the mean of k over pairs of different images within a, plus
    that within b, minus twice the mean between a and b, with k(x, y) = (x . y / D + 1)^3 (Bińkowski et al., 2018).

    Raises:
        InputError: If a set has fewer than two images.
        ValueError: If the shapes do not fit.
    """
    _check(a, b)
    a, b = a.double(), b.double()
    return float(_mean_of_pairs(a) + _mean_of_pairs(b) - 2 * _kernel(a, b).mean())


def kernel_distance(
    a: Tensor, b: Tensor, *, subsets: int = 100, subset_size: int | None = None, seed: int = 0
) -> KernelDistance:
    """KID: mean and standard deviation of `squared_mmd` over random subsets of both sets, without replacement.

    Bińkowski et al. (2018), https://arxiv.org/abs/1801.01401. Unlike FID, its expectation does not depend on the number
    of images; it is 0 for two sets from the same distribution.

    Args:
        a, b: Features, (m, D) and (n, D).
        subsets: Number of subsets.
        subset_size: Images of each set in a subset. The default is half the smaller set, at most 1000 and at least 2.
            With all images of both sets, all subsets would be equal and the standard deviation would be a false 0.
        seed: Random seed of the subsets.

    Raises:
        InputError: If a set has fewer than two images, or features are not finite.
        ValueError: If the shapes or the subsets do not fit.
    """
    _check(a, b)
    smaller = min(len(a), len(b))
    size = max(2, min(MAX_SUBSET_SIZE, smaller // 2)) if subset_size is None else subset_size
    if subsets < 1 or (subset_size is not None and not 2 <= size <= smaller):
        raise ValueError(f"{subsets} subsets of {size}, expected 1 or more of 2 to {smaller} images")
    if size >= max(len(a), len(b)):
        return KernelDistance(_finite(torch.tensor(squared_mmd(a, b))), None)
    values = torch.tensor(
        [
            squared_mmd(
                a[permutation(seed, "kid a", subset, len(a), a.device)[:size]],
                b[permutation(seed, "kid b", subset, len(b), b.device)[:size]],
            )
            for subset in range(subsets)
        ],
        dtype=torch.float64,
    )
    return KernelDistance(_finite(values.mean()), float(values.std()) if subsets > 1 else None)


def _check(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features have shapes {tuple(a.shape)} and {tuple(b.shape)}, expected (m, D) and (n, D)")
    if min(len(a), len(b)) < 2:
        raise InputError(f"KID needs 2 or more images in each set, got {len(a)} and {len(b)}")


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _mean_of_pairs(a: Tensor) -> Tensor:
    """Mean of k(x, y) over pairs of different images x and y."""
    k = _kernel(a, a)
    return (k.sum() - k.trace()) / (len(a) * (len(a) - 1))


def _finite(value: Tensor) -> float:
    if not value.isfinite():
        raise InputError(
            "features are not finite, or too large to be cubed; check the weights of the feature extractor"
        )
    return float(value)
