"""Fréchet Inception distance (FID): the distance between two sets of features, modelled as Gaussians."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.utils.errors import InputError

UNBOUNDED = "features are not finite, or too large to be squared; check the weights of the feature extractor"


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a set of features.

    Args:
        mean: float64 (D,).
        covariance: float64 (D, D), symmetric, of rank at most n - 1.
        n: Number of images.

    Raises:
        InputError: If a value is not finite.
    """

    mean: Tensor
    covariance: Tensor
    n: int

    def __post_init__(self) -> None:
        if not (self.mean.isfinite().all() and self.covariance.isfinite().all()):
            raise InputError(UNBOUNDED)

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Mean and unbiased covariance (divided by N - 1) of features (N, D).

        Raises:
            InputError: If there are fewer than two images, or a value is too large to be squared.
            ValueError: If the features have another shape.
        """
        if features.ndim != 2:
            raise ValueError(f"features have shape {tuple(features.shape)}, expected (N, D)")
        n, dims = features.shape
        if n < 2:
            raise InputError(f"a covariance needs 2 or more images, got {n}")
        features = features.double()
        return cls(features.mean(dim=0), features.T.cov().reshape(dims, dims), n)

    def factor(self) -> Tensor:
        """F, (D, rank), with F F^T equal to the covariance: eigenvectors times square roots of their eigenvalues.

        Eigenvalues within the rounding error of the largest count as 0, because their square roots would be much larger
        than that error.
        """
        values, vectors = torch.linalg.eigh(self.covariance)
        positive = values > len(values) * torch.finfo(values.dtype).eps * values[-1].clamp(min=0)
        factor: Tensor = vectors[:, positive] * values[positive].sqrt()
        return factor


def frechet_distance(a: Moments, b: Moments) -> float:
    """FID, ||mu_a - mu_b||^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2)); at least 0, and 0 for equal moments.

    Heusel et al. (2017), https://arxiv.org/abs/1706.08500, Eq. 6; the squared 2-Wasserstein distance of two Gaussians
    (Dowson and Landau, 1982).

    With S = F F^T, S_a S_b has the nonzero eigenvalues of (F_a^T F_b)(F_a^T F_b)^T, so the trace of its square root is
    the sum of the singular values of F_a^T F_b. They are real and at least 0 for every rank. A general matrix square
    root becomes complex if there are fewer images than dimensions, and square roots of computed eigenvalues of S_a S_b
    lose half of the digits near 0.

    FID has a positive bias that grows as the number of images falls, so only values from equal numbers of images are
    comparable.

    >>> narrow = Moments(torch.tensor([0.0]), torch.tensor([[1.0]]), n=9)
    >>> wide = Moments(torch.tensor([3.0]), torch.tensor([[25.0]]), n=9)
    >>> round(frechet_distance(narrow, wide), 4)  # 3^2 + (5 - 1)^2
    25.0

    Raises:
        InputError: If the moments are too large for the computation.
        ValueError: If the dimensions differ.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"moments have {len(a.mean)} and {len(b.mean)} dimensions, expected equal dimensions")
    try:
        factor_a, factor_b = a.factor(), b.factor()
        trace_of_root = torch.linalg.svdvals(factor_a.T @ factor_b).sum()
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        raise InputError(UNBOUNDED) from None
    traces = factor_a.square().sum() + factor_b.square().sum()  # from the factors, consistent with the last term
    distance = (a.mean - b.mean).square().sum() + traces - 2 * trace_of_root
    if not distance.isfinite():
        raise InputError(UNBOUNDED)
    return float(distance.clamp(min=0))
