"""Converts between the levels of a colour and x in [-1, 1]. No other module needs 127.5 or 1/255.

A colour takes one of L levels. It is stored as uint8 in 0 .. L-1; networks use x = 2 level / (L - 1) - 1.
"""

import torch
from torch import Tensor

from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.errors import InputError

REMEDY = (
    "`to_x` makes x from uint8 levels, and `predict` of what `pixelbayes.load` returns takes files and uint8 images"
)

FROM_FLOATS = "`(255 * images).round()` converted to uint8 makes 8-bit images of floats in [0, 1]"


def to_x(pixels: Tensor, levels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Levels 0 .. L-1 to x in [-1, 1]; any shape.

    Raises:
        InputError: If the levels are not integers.

    >>> to_x(torch.tensor([0, 8, 16], dtype=torch.uint8), levels=17)
    tensor([-1.,  0.,  1.])
    """
    if pixels.is_floating_point():
        raise InputError(f"pixels are {pixels.dtype}, expected integer levels 0 .. {levels - 1}; {FROM_FLOATS}")
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


def check_floats(x: Tensor) -> None:
    """Checks that x can be images in [-1, 1] and is not their levels.

    Raises:
        InputError: If x has an integer type.
    """
    if not x.is_floating_point():
        raise InputError(f"x is {x.dtype}, expected floats in [-1, 1]; {REMEDY}")


def check_x(x: Tensor, shape: ImageShape) -> None:
    """Checks that x holds images as a network takes them: floats on the levels in [-1, 1], (B, C, H, W).

    Rounding is tolerated, up to a hundredth of the distance of two levels.

    Args:
        x: The images.
        shape: The shape that the network takes.

    Raises:
        InputError: If the type, the shape or a value is another; the message says what to call instead.

    >>> check_x(torch.zeros(1, 1, 8, 8), ImageShape(height=8, width=8, channels=1))
    Traceback (most recent call last):
    pixelbayes.utils.errors.InputError: x holds 0, which is none of the 256 levels in [-1, 1]; `to_x` makes x from...
    """
    check_floats(x)
    if x.ndim != 4 or tuple(x.shape[1:]) != shape.chw:
        expected = ", ".join(map(str, shape.chw))
        raise InputError(f"x has shape {tuple(x.shape)}, expected (B, {expected}); {REMEDY}")
    nearest = to_x(to_level(x, shape.levels), shape.levels, x.dtype)
    is_level = (x - nearest).abs() <= 0.02 / (shape.levels - 1) + 4 * torch.finfo(x.dtype).eps
    if not is_level.all():
        value = float(x[~is_level][0])
        raise InputError(f"x holds {value:.6g}, which is none of the {shape.levels} levels in [-1, 1]; {REMEDY}")
