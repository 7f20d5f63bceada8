"""Converts between the levels of a colour and x in [-1, 1]. No other module needs 127.5 or 1/255.

A colour takes one of L levels. It is stored as uint8 in 0 .. L-1; networks use x = 2 level / (L - 1) - 1.
"""

import torch
from torch import Tensor


def to_x(pixels: Tensor, levels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Levels 0 .. L-1 to x in [-1, 1]; any shape.

    >>> to_x(torch.tensor([0, 8, 16], dtype=torch.uint8), levels=17)
    tensor([-1.,  0.,  1.])
    """
    return pixels.to(dtype) * (2 / (levels - 1)) - 1


def to_level(x: Tensor, levels: int) -> Tensor:
    """Index of the nearest level, int64 in 0 .. L-1; any shape. Values outside [-1, 1] become an end level."""
    return ((x + 1) * ((levels - 1) / 2)).round().clamp(0, levels - 1).long()


def to_pixels(x: Tensor, levels: int) -> Tensor:
    """X in [-1, 1] to the nearest level, uint8 in 0 .. L-1; any shape.

    >>> to_pixels(torch.tensor([-1.0, 0.01, 1.0]), levels=17)
    tensor([ 0,  8, 16], dtype=torch.uint8)
    """
    return to_level(x, levels).to(torch.uint8)


def requantise(pixels: Tensor, levels_from: int, levels_to: int) -> Tensor:
    """Levels 0 .. `levels_from`-1 to the nearest of 0 .. `levels_to`-1, uint8; any shape.

    `requantise(pixels, levels, 256)` converts to the 8-bit values of image files.

    >>> requantise(torch.tensor([0, 8, 16], dtype=torch.uint8), 17, 256)
    tensor([  0, 128, 255], dtype=torch.uint8)
    """
    if levels_from == levels_to:
        return pixels
    return (pixels.double() * ((levels_to - 1) / (levels_from - 1))).round().to(torch.uint8)
