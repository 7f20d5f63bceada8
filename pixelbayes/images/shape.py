"""The shape of an image: height, width, channels and levels."""

import math
from dataclasses import dataclass

from pixelbayes.utils.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ImageShape:
    """Height, width, channels and levels of the images that a network takes.

    Raises:
        InputError: If a number is out of its range.

    >>> str(ImageShape(height=32, width=48))
    '32 x 48 pixels, 3 channels, 256 levels'
    """

    height: int
    """H, at least 1"""
    width: int
    """W, at least 1"""
    channels: int = 3
    """C: 1 (grey) or 3 (RGB)"""
    levels: int = 256
    """L, number of values a colour can take, 2 to 256"""

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise InputError(f"image_size is {self.size}, expected a height and a width of at least 1, such as 32 32")
        if self.channels not in (1, 3):
            raise InputError(f"channels is {self.channels}, expected 1 (grey) or 3 (RGB)")
        if not 2 <= self.levels <= 256:
            raise InputError(f"levels is {self.levels}, expected 2 to 256")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width

    @property
    def chw(self) -> tuple[int, int, int]:
        """(C, H, W), the shape of an image tensor."""
        return self.channels, self.height, self.width

    @property
    def dims(self) -> int:
        """Number of values in an image, C H W."""
        return math.prod(self.chw)

    @property
    def is_square(self) -> bool:
        return self.height == self.width

    def __str__(self) -> str:
        channels = f"{self.channels} channel{'s' * (self.channels > 1)}"
        return f"{self.height} x {self.width} pixels, {channels}, {self.levels} levels"
