"""The nearest of many images to each of some, exactly."""

from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 1024  # rows of either side at a time


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest reference of each row.

    Args:
        index: int64 (N,), which one; the first of equals.
        distance: float64 (N,), root mean square of the difference over dimensions; 0 for a copy, and only then.
    """

    index: Tensor
    distance: Tensor


def nearest(rows: Tensor, references: Tensor, *, scale: float = 1.0, chunk: int = CHUNK) -> Neighbours:
    """The nearest of the references (M, ...) to each row (N, ...), in Euclidean distance over all but the first axis.

    The search is exact: of pixels as whole numbers, where it makes no rounding error at all. Memory is bounded by
    `chunk`, not by N times M.

    Args:
        rows, references: Of any type; uint8 pixels as they are.
        scale: Of the distance: 2 / (levels - 1) gives that of images in [-1, 1].
        chunk: Rows of either side at a time.

    Raises:
        ValueError: If shapes do not fit, or there is no reference.
    """
    if rows.shape[1:] != references.shape[1:] or not len(references):
        raise ValueError(f"rows {tuple(rows.shape)} and references {tuple(references.shape)}, expected (N, D), (M, D)")
    index = torch.cat([_nearest_of_all(some, references, chunk) for some in rows.split(chunk)])
    difference = torch.cat(
        [
            (some.double() - references[at].double()).square().flatten(1).mean(dim=1)
            for some, at in zip(rows.split(chunk), index.split(chunk), strict=True)
        ]
    )
    return Neighbours(index, difference.sqrt() * scale)


def _nearest_of_all(rows: Tensor, references: Tensor, chunk: int) -> Tensor:
    rows = rows.double().flatten(1)
    best = torch.full((len(rows),), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(rows), dtype=torch.int64)
    for start in range(0, len(references), chunk):
        some = references[start : start + chunk].double().flatten(1)
        # ||a - b||^2 less ||a||^2, which is the same for all b
        found, at = (some.square().sum(dim=1) - 2 * rows @ some.T).min(dim=1)
        nearer = found < best
        best, index = torch.where(nearer, found, best), torch.where(nearer, at + start, index)
    return index
