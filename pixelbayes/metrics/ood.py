"""Out-of-distribution (OOD) scores: how different an image is from the training images. Higher means more different.

The likelihood alone is not a reliable score, because a network gives smooth images of any kind a higher probability
than the images it was trained on (Nalisnick et al., 2019a, https://arxiv.org/abs/1810.09136). Two scores correct this.
AUROC measures how well each score separates two data sets.
"""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod, sqrt
from statistics import NormalDist

import torch
from torch import Tensor

from pixelbayes.checkpoints.calibration_record import OODReference
from pixelbayes.images.preprocessing import to_image
from pixelbayes.models.likelihood import bits_per_dim

SCORES = ("likelihood", "complexity", "typicality")
FALSE_ALARM_RATE = 0.01  # probability that an in-distribution image exceeds a limit

PNG_SIGNATURE_BYTES = 8
CHUNK_OVERHEAD_BYTES = 12  # length, type and checksum of a chunk of a PNG file, 4 bytes each


def code_length(pixels: Tensor, levels: int) -> Tensor:
    """Number of bits of each image compressed as PNG, float64 (N,): the complexity L(x) of Serra et al. (2020).

    Only the IDAT chunks are counted, because the other chunks have the same length for all images of one size. The
    compression is the strongest of Pillow (`optimize`).

    Args:
        pixels: uint8 (N, C, H, W), C 1 or 3, values 0 .. levels-1.
        levels: L, number of values a colour can take.
    """
    return torch.tensor([8 * _idat_bytes(image, levels) for image in pixels], dtype=torch.float64)


def _idat_bytes(image: Tensor, levels: int) -> int:
    file = io.BytesIO()
    to_image(image, levels).save(file, format="PNG", optimize=True)
    data, position, total = file.getvalue(), PNG_SIGNATURE_BYTES, 0
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        total += length if kind == b"IDAT" else 0
        position += length + CHUNK_OVERHEAD_BYTES
    return total


def ood_scores(log_marginal: Tensor, pixels: Tensor, levels: int, mean_bits: float) -> dict[str, Tensor]:
    """The scores of each image, float64 (N,) each, in bits per dimension.

    - likelihood: -log2 p(x) / d, with p(x) = sum over c of p(c) p(x | c) and d = C H W.
    - complexity: (-log2 p(x) - L(x)) / d, with the PNG code length L: Serra et al. (2020), Input complexity and
      out-of-distribution detection with likelihood-based generative models, https://arxiv.org/abs/1909.11480, Eq. 3.
    - typicality: |-log2 p(x) / d - its mean over in-distribution images|: Nalisnick et al. (2019b), Detecting
      out-of-distribution inputs to deep generative models using typicality, https://arxiv.org/abs/1906.02994, for
      batches of one image.

    Args:
        log_marginal: log p(x), (N,), in nats.
        pixels: uint8 (N, C, H, W).
        levels: L, number of values a colour can take.
        mean_bits: Mean of -log2 p(x) / d over in-distribution images, `OODReference.bits_per_dim`.
    """
    dims = prod(pixels.shape[1:])
    bits = bits_per_dim(-log_marginal.double(), dims)
    return {
        "likelihood": bits,
        "complexity": bits - code_length(pixels, levels) / dims,
        "typicality": (bits - mean_bits).abs(),
    }


def fit_ood_reference(log_marginal: Tensor, pixels: Tensor, levels: int) -> OODReference:
    """The mean and the limits of the scores of in-distribution images.

    The images must be held out, because the network gives its training images a higher likelihood. A limit is the
    smallest observed score that a new in-distribution image exceeds with a probability of at most FALSE_ALARM_RATE,
    which follows from its rank for any distribution (conformal prediction: Bates et al., 2023, Testing for outliers
    with conformal p-values, https://arxiv.org/abs/2104.08279). This needs at least 99 images; otherwise the limit is
    None.

    Args:
        log_marginal: log p(x), (N,), in nats, N at least 1.
        pixels: uint8 (N, C, H, W).
        levels: L, number of values a colour can take.
    """
    mean_bits = float(bits_per_dim(-log_marginal.double(), prod(pixels.shape[1:])).mean())
    rank = ceil(round((len(pixels) + 1) * (1 - FALSE_ALARM_RATE), 9))
    scores = ood_scores(log_marginal, pixels, levels, mean_bits)
    limits = {
        name: float(score.sort().values[rank - 1]) if rank <= len(score) else None for name, score in scores.items()
    }
    return OODReference(bits_per_dim=mean_bits, limits=limits)


def exceeded_limits(scores: Mapping[str, Tensor], reference: OODReference) -> list[tuple[str, ...]]:
    """Names of the scores that exceed their limit, for each image; a limit of None is never exceeded.

    Args:
        scores: Result of `ood_scores`.
        reference: Result of `fit_ood_reference`.
    """
    limits = {name: limit for name in scores if (limit := reference.limits.get(name)) is not None}
    count = len(next(iter(scores.values())))
    return [tuple(name for name, limit in limits.items() if scores[name][i] > limit) for i in range(count)]


@dataclass(frozen=True)
class Separation:
    """How well a score separates in-distribution from out-of-distribution images."""

    auroc: float
    """P(an OOD image has a higher score than an in-distribution image); equal scores count half"""
    auroc_interval: tuple[float, float]
    """95%"""
    n_in_distribution: int
    """number of in-distribution images"""
    n_ood: int
    """number of OOD images"""


def auroc(in_distribution: Tensor, ood: Tensor) -> Separation:
    """Area under the receiver operating characteristic of a score that should be higher for OOD images.

    The interval is that of Newcombe (2006, Statistics in Medicine 25, 559-573, method 5), a score interval like
    Wilson's: all areas that a z-test with Hanley and McNeil's variance at that area does not reject. Its width is
    positive even if the sets do not overlap.

    Args:
        in_distribution: Scores of in-distribution images, (n,).
        ood: Scores of OOD images, (m,).

    Raises:
        ValueError: If a set is empty.
    """
    from sklearn.metrics import roc_auc_score  # takes two seconds to import

    n, m = len(in_distribution), len(ood)
    if not (n and m):
        raise ValueError(f"{n} in-distribution scores and {m} OOD scores, expected at least one of each")
    area = float(roc_auc_score([0] * n + [1] * m, torch.cat([in_distribution, ood]).double().numpy()))
    return Separation(auroc=area, auroc_interval=_newcombe_interval(area, n, m), n_in_distribution=n, n_ood=m)


def _newcombe_interval(area: float, n: int, m: int) -> tuple[float, float]:
    """The areas theta with |area - theta| <= z sqrt(V(theta)), with Hanley and McNeil's variance V."""
    from scipy.optimize import brentq  # takes a second to import

    z, half = NormalDist().inv_cdf(0.975), (n + m) / 2 - 1

    def excess(theta: float) -> float:
        variance = theta * (1 - theta) * (1 + half * (1 - theta) / (2 - theta) + half * theta / (1 + theta)) / (n * m)
        return abs(area - theta) - z * sqrt(variance)

    inner = min(max(area, 1e-12), 1 - 1e-12)  # at an area of 0 or 1 the excess is 0, but that is not the bound
    low = brentq(excess, 0, inner) if area > 0 else 0.0
    high = brentq(excess, inner, 1) if area < 1 else 1.0
    return low, high
