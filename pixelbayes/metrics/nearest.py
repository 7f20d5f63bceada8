"""Exact nearest neighbours between two sets of images or features."""

from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 1024  # rows of either set at a time


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest reference of each row."""

    index: Tensor
    """int64 (N,), index of the reference; the first of several at the same distance"""
    distance: Tensor
    """float64 (N,), root mean square of the difference over dimensions; 0 only for an exact copy"""


def nearest(rows: Tensor, references: Tensor, *, scale: float = 1.0, chunk: int = CHUNK) -> Neighbours:
    """The nearest of the references (M, ...) to each row (N, ...), in Euclidean distance over all but the first axis.

    For integer pixels the search has no rounding error. Memory use depends on `chunk`, not on N times M.

    Args:
        rows, references: Tensors of any type, such as uint8 pixels.
        scale: Factor of the distance; 2 / (levels - 1) gives the distance of images in [-1, 1].
        chunk: Rows of either set at a time.

    Raises:
        ValueError: If the shapes do not fit, or there is no reference.
    """
    if rows.shape[1:] != references.shape[1:] or not len(references):
        raise ValueError(f"rows {tuple(rows.shape)} and references {tuple(references.shape)}, expected (N, D), (M, D)")
    index = torch.cat([_nearest_index(part, references, chunk) for part in rows.split(chunk)])
    mean_square = torch.cat(
        [
            (part.double() - references[at].double()).square().flatten(1).mean(dim=1)
            for part, at in zip(rows.split(chunk), index.split(chunk), strict=True)
        ]
    )
    return Neighbours(index, mean_square.sqrt() * scale)


def _nearest_index(rows: Tensor, references: Tensor, chunk: int) -> Tensor:
    rows = rows.double().flatten(1)
    smallest = torch.full((len(rows),), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(rows), dtype=torch.int64)
    for start in range(0, len(references), chunk):
        part = references[start : start + chunk].double().flatten(1)
        # ||a - b||^2 without ||a||^2, which is the same for every b
        square, at = (part.square().sum(dim=1) - 2 * rows @ part.T).min(dim=1)
        is_nearer = square < smallest
        smallest, index = torch.where(is_nearer, square, smallest), torch.where(is_nearer, at + start, index)
    return index
