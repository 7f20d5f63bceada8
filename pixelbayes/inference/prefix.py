"""Images of which the first pixels are given; sampling draws the others."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_x


@dataclass(frozen=True)
class Given:
    """The pixels that are known before sampling begins: the first `known` in raster order.

    Any other choice of pixels is refused: each pixel's distribution is given those before it, so what lies after cannot
    be taken into account, short of trying all that lies between.

    Args:
        pixels: uint8 levels, (B, C, H, W), or (1, C, H, W) for all images of a batch; what is not known is not read.
        known: How many of the H W pixels.
    """

    pixels: Tensor
    known: int

    def __post_init__(self) -> None:
        height, width = self.pixels.shape[-2:]
        if not 0 <= self.known <= height * width:
            raise ValueError(f"{self.known} pixels are given as known, expected 0 to {height * width}")

    @classmethod
    def of_mask(cls, pixels: Tensor, mask: Tensor) -> "Given":
        """From a mask, bool (H, W), True where a pixel is known.

        Raises:
            ValueError: If the known pixels are not the first ones in raster order.
        """
        flat = mask.flatten()
        known = int(flat.sum())
        if not bool(flat[:known].all()):
            row, column = divmod(int(flat.long().argmin()), mask.shape[1])
            raise ValueError(
                f"the mask knows pixels after (row {row}, column {column}), which it does not know; each pixel is "
                "drawn given those before it in raster order, so only the first ones can be given"
            )
        return cls(pixels, known)


def canvas(given: Given | None, noise: Tensor, levels: int) -> tuple[Tensor, int]:
    """Images as they stand before the first draw: x, of the shape and precision of `noise`, and its known pixels."""
    if given is None:
        return torch.zeros_like(noise), 0
    return to_x(given.pixels.to(noise.device), levels, noise.dtype).expand_as(noise).clone(), given.known
