"""Near-duplicates: images that are much closer to each other than independent images of the same set would be."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

NEIGHBOURS = 10  # k: the distance of an image to this neighbour is the scale of its neighbourhood
FALSE_ALARM_RATE = 0.1  # probability of any pair among independent images


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """The near-duplicates among the images of a set.

    Args:
        group: int64 (N,), number of the group of each image: 0, 1, ... in order of their first image. An image without
            a near-duplicate is a group of its own.
        scale: float64 (N,), distance to the k-th nearest image, the root of the sum over pixels of the squared
            differences of levels.
        ratio: float64 (N,), distance to the nearest image over `scale`.
        threshold: Largest ratio of near-duplicates.
        intrinsic_dimension: Estimate of the dimension of the images' manifold.
    """

    group: Tensor
    scale: Tensor
    ratio: Tensor
    threshold: float
    intrinsic_dimension: float

    @property
    def groups(self) -> list[Tensor]:
        """The indices of each group of two or more images."""
        order = self.group.argsort(stable=True)
        parts = order.split(torch.bincount(self.group).tolist())
        return [part for part in parts if len(part) > 1]


def find_near_duplicates(pixels: Tensor) -> NearDuplicates:
    """Groups the near-duplicates of a set: copies, also recompressed, brightened, blurred or slightly cropped ones.

    Let d_j be the distance of an image to its j-th nearest, D the intrinsic dimension of the images, and their density
    about constant up to d_k. Then the (d_j / d_k)^D with j < k are the order statistics of k - 1 uniform variables, so

        P(d_1 <= r d_k) = 1 - (1 - r^D)^(k-1),    E[log(d_k / d_m)] = (H_{k-1} - H_{m-1}) / D

    with the harmonic numbers H (Levina and Bickel, 2004, Maximum likelihood estimation of intrinsic dimension). The
    second equation estimates D with m = k / 2, so that groups of up to m copies have no influence. The first one gives
    the ratio r that any of N independent images falls below with a probability of `FALSE_ALARM_RATE`. Two images are
    near-duplicates if their distance is at most r times the d_k of either. The rule has no scale, so it holds for
    digits of 8x8 pixels, where r is about 1/6, and for photographs of 32x32, where r is about 0.6.

    Equal images are near-duplicates in any case. In a set of fewer than k + 2 images only they are.

    Args:
        pixels: uint8 (N, C, H, W), N at least 1.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.neighbors import NearestNeighbors  # takes seconds to import

    rows = pixels.flatten(1).float().numpy()
    count = len(rows)
    k = min(NEIGHBOURS, count - 1)
    if k < 1:
        alone = torch.zeros(count, dtype=torch.int64)
        return NearDuplicates(alone, alone.double(), torch.ones(count).double(), 0.0, 0.0)
    distances, index = NearestNeighbors(algorithm="brute").fit(rows).kneighbors(n_neighbors=k)  # (N, k) without itself
    scale = distances[:, -1]
    dimension = _intrinsic_dimension(distances) if k == NEIGHBOURS else 0.0
    threshold = _threshold(count, dimension)
    near = distances <= threshold * scale[:, None]
    edges = coo_array((near.ravel(), (np.repeat(np.arange(count), k), index.ravel())), shape=(count, count))
    edges.eliminate_zeros()
    group = connected_components(edges, directed=False)[1]
    _, first = np.unique(group, return_index=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))  # by the first image of the group
    ratio = np.divide(distances[:, 0], scale, out=np.ones(count), where=scale > 0)
    ratio[distances[:, 0] == 0] = 0
    group, scale, ratio = map(torch.from_numpy, (number[group], scale, ratio))
    return NearDuplicates(group, scale.double(), ratio.double(), threshold, dimension)


def _intrinsic_dimension(distances: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> float:
    """D, given the distances to the 1st, ..., k-th nearest image, (N, k); 0 if all images are copies of a few."""
    k = distances.shape[1]
    m = k // 2
    positive = distances[:, m - 1] > 0
    spread = float(np.log(distances[positive, -1] / distances[positive, m - 1]).mean()) if positive.any() else 0.0
    return sum(1 / j for j in range(m, k)) / spread if spread > 0 else 0.0


def _threshold(count: int, dimension: float) -> float:
    """The ratio that any of `count` independent images falls below with a probability of FALSE_ALARM_RATE."""
    if dimension == 0:
        return 0.0
    single = 1 - (1 - FALSE_ALARM_RATE) ** (1 / count)
    uniform = 1 - (1 - single) ** (1 / (NEIGHBOURS - 1))
    return float(uniform ** (1 / dimension))
