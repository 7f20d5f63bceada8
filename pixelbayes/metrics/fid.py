"""How far apart two sets of features are, as if both were Gaussian."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.utils.errors import InputError

UNBOUNDED = "features are not finite, or too large to be squared; check the extractor's weights"


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a set of features.

    Args:
        mean: float64 (D,).
        covariance: float64 (D, D), symmetric; its rank is at most n - 1.
        n: How many images they are of.

    Raises:
        InputError: If a number is not finite.
    """

    mean: Tensor
    covariance: Tensor
    n: int

    def __post_init__(self) -> None:
        if not (self.mean.isfinite().all() and self.covariance.isfinite().all()):
            raise InputError(UNBOUNDED)

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """The moments of features (N, D), the covariance with N - 1 in its denominator.

        Raises:
            InputError: If there are fewer than two images, or numbers too large to be squared.
            ValueError: If the features are of another shape.
        """
        if features.ndim != 2:
            raise ValueError(f"features have shape {tuple(features.shape)}, expected (N, D)")
        n, dims = features.shape
        if n < 2:
            raise InputError(f"a covariance needs 2 images or more, here are {n}")
        features = features.double()
        return cls(features.mean(dim=0), features.T.cov().reshape(dims, dims), n)

    def factor(self) -> Tensor:
        """F, (D, rank), with F F^T the covariance: eigenvectors times the roots of their eigenvalues.

        An eigenvalue within the rounding error of the largest counts as 0; its root would be far above that error.
        """
        values, vectors = torch.linalg.eigh(self.covariance)
        kept = values > len(values) * torch.finfo(values.dtype).eps * values[-1].clamp(min=0)
        return vectors[:, kept] * values[kept].sqrt()


def frechet_distance(a: Moments, b: Moments) -> float:
    """FID, ||mu_a - mu_b||^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2)); 0 for equal moments, never below.

    Heusel et al. (2017), https://arxiv.org/abs/1706.08500, Eq. 6; the squared 2-Wasserstein distance of two Gaussians
    (Dowson and Landau, 1982). With S = F F^T from symmetric eigenvalues, S_a S_b and (F_a^T F_b)(F_a^T F_b)^T share
    their nonzero eigenvalues, so that the trace of the root is the sum of the singular values of F_a^T F_b: real and
    not negative, whatever the rank, where a general matrix square root turns complex for fewer images than dimensions.
    Roots of the eigenvalues of S_a S_b would be good to half the digits only where those are near 0.

    Its estimate from few images is too high, and the more so the fewer: compare at equal numbers of images only.

    >>> narrow = Moments(torch.tensor([0.0]), torch.tensor([[1.0]]), n=9)
    >>> wide = Moments(torch.tensor([3.0]), torch.tensor([[25.0]]), n=9)
    >>> round(frechet_distance(narrow, wide), 4)  # 3^2 + (5 - 1)^2
    25.0

    Raises:
        InputError: If the moments are too large to be computed with.
        ValueError: If the two are of different dimensions.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"moments have {len(a.mean)} and {len(b.mean)} dimensions, expected the same")
    try:
        root_a, root_b = a.factor(), b.factor()
        shared = torch.linalg.svdvals(root_a.T @ root_b).sum()
    except torch.linalg.LinAlgError:
        raise InputError(UNBOUNDED) from None
    traces = root_a.square().sum() + root_b.square().sum()  # of what the factors keep, as the last term is
    distance = (a.mean - b.mean).square().sum() + traces - 2 * shared
    if not distance.isfinite():
        raise InputError(UNBOUNDED)
    return float(distance.clamp(min=0))
