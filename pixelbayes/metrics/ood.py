"""How unlike its training images a network finds an image; higher is less alike, for every score here.

A likelihood alone does not tell: a network gives smooth images of any kind more probability than the images it was
trained on (Nalisnick et al., 2019a, https://arxiv.org/abs/1810.09136). Two corrections are set beside it, and how well
each separates two data sets is for measuring.
"""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod, sqrt
from statistics import NormalDist

import torch
from scipy.optimize import brentq
from torch import Tensor

from pixelbayes.checkpoints.calibration_record import Typical
from pixelbayes.images.preprocessing import to_image
from pixelbayes.models.likelihood import bits_per_dim

SCORES = ("likelihood", "complexity", "typicality")
FALSE_ALARMS = 0.01  # the share of images like those of training that a limit lets itself be wrong about


def code_length(pixels: Tensor, levels: int) -> Tensor:
    """Bits that a PNG takes for the pixels of each image, float64 (N,): the complexity of Serra et al.

    Counted are the IDAT chunks alone: the rest of a file has the same length for every image of a size. Pillow's
    `optimize` tries hardest, the same for all.

    Args:
        pixels: uint8 (N, C, H, W), C 1 or 3, values 0 .. levels-1.
        levels: L.
    """
    return torch.tensor([8 * _idat_bytes(image, levels) for image in pixels], dtype=torch.float64)


def _idat_bytes(image: Tensor, levels: int) -> int:
    file = io.BytesIO()
    to_image(image, levels).save(file, format="PNG", optimize=True)
    data, place, total = file.getvalue(), 8, 0  # a PNG begins with eight bytes of signature
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        total += length if kind == b"IDAT" else 0
        place += 12 + length  # length, type and checksum of a chunk are four bytes each
    return total


def outlier_scores(log_marginal: Tensor, pixels: Tensor, levels: int, typical_bits: float) -> dict[str, Tensor]:
    """The scores, float64 (N,) each, in bits per dimension.

    - likelihood: -log2 p(x) / d, with p(x) = sum over c of p(c) p(x | c) and d = C H W.
    - complexity: (-log2 p(x) - L(x)) / d, with L a PNG's code length: Serra et al. (2020), Input complexity and
      out-of-distribution detection with likelihood-based generative models, https://arxiv.org/abs/1909.11480, Eq. 3.
    - typicality: |-log2 p(x) / d - its mean over images like those of training|: Nalisnick et al. (2019b), Detecting
      out-of-distribution inputs to deep generative models using typicality, https://arxiv.org/abs/1906.02994, for
      batches of one image.

    Args:
        log_marginal: log p(x), (N,), in nats.
        pixels: uint8 (N, C, H, W).
        levels: L.
        typical_bits: That mean, `Typical.bits_per_dim`.
    """
    dims = prod(pixels.shape[1:])
    bits = bits_per_dim(-log_marginal.double(), dims)
    return {
        "likelihood": bits,
        "complexity": bits - code_length(pixels, levels) / dims,
        "typicality": (bits - typical_bits).abs(),
    }


def fit_typical(log_marginal: Tensor, pixels: Tensor, levels: int) -> Typical:
    """What images score that are like those of training; of images held out, since those learnt by heart score lower.

    A limit is the smallest score found that, by rank, a new image of the same kind exceeds with a probability of at
    most FALSE_ALARMS, whatever the distribution (conformal prediction: Bates et al., 2023, Testing for outliers with
    conformal p-values, https://arxiv.org/abs/2104.08279). Fewer than 99 images cannot promise that.

    Args:
        log_marginal: log p(x), (N,), in nats, N at least 1.
        pixels: uint8 (N, C, H, W).
        levels: L.
    """
    typical_bits = float(bits_per_dim(-log_marginal.double(), prod(pixels.shape[1:])).mean())
    rank = ceil(round((len(pixels) + 1) * (1 - FALSE_ALARMS), 9))
    scores = outlier_scores(log_marginal, pixels, levels, typical_bits)
    limits = {
        name: float(score.sort().values[rank - 1]) if rank <= len(score) else None for name, score in scores.items()
    }
    return Typical(bits_per_dim=typical_bits, limits=limits)


def beyond_limits(scores: Mapping[str, Tensor], typical: Typical) -> list[tuple[str, ...]]:
    """For each image the scores that exceed what one typical image in a hundred exceeds; none where no limit is known.

    Args:
        scores: By `outlier_scores`.
        typical: By `fit_typical`.
    """
    known = {name: limit for name in scores if (limit := typical.limits.get(name)) is not None}
    count = len(next(iter(scores.values())))
    return [tuple(name for name, limit in known.items() if scores[name][i] > limit) for i in range(count)]


@dataclass(frozen=True)
class Separation:
    """How well a score tells the images of one set from those of another."""

    auroc: float  # P(an image from outside scores higher than one from inside), ties counting half
    auroc_interval: tuple[float, float]  # 95%
    n_inside: int
    n_outside: int


def auroc(inside: Tensor, outside: Tensor) -> Separation:
    """Area under the receiver operating characteristic of a score that should be higher outside.

    The interval is Newcombe's (2006, Statistics in Medicine 25, 559-573, method 5), a score interval like Wilson's:
    every area that a z-test with Hanley and McNeil's variance at that area would not reject. Sets that do not overlap
    do not pass for certainty.

    Args:
        inside: Scores of images like those of training, (n,).
        outside: Scores of other images, (m,).

    Raises:
        ValueError: If a set is empty.
    """
    from sklearn.metrics import roc_auc_score  # takes half a second to import

    n, m = len(inside), len(outside)
    if not (n and m):
        raise ValueError(f"{n} scores inside and {m} outside, expected one or more of each")
    area = float(roc_auc_score([0] * n + [1] * m, torch.cat([inside, outside]).double().numpy()))
    return Separation(area, _newcombe_interval(area, n, m), n, m)


def _newcombe_interval(area: float, n: int, m: int, confidence: float = 0.95) -> tuple[float, float]:
    z, half = NormalDist().inv_cdf((1 + confidence) / 2), (n + m) / 2 - 1

    def excess(theta: float) -> float:
        variance = theta * (1 - theta) * (1 + half * (1 - theta) / (2 - theta) + half * theta / (1 + theta)) / (n * m)
        return abs(area - theta) - z * sqrt(variance)

    inner = min(max(area, 1e-12), 1 - 1e-12)  # an area of 0 or 1 has no excess itself, but is not the bound sought
    return (brentq(excess, 0, inner) if area > 0 else 0.0), (brentq(excess, inner, 1) if area < 1 else 1.0)
