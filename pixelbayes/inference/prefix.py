"""Image completion: the first pixels are known, and sampling draws the others."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_x


@dataclass(frozen=True)
class Prefix:
    """The pixels that are known before sampling: the first `num_known` in raster order.

    Other sets of known pixels are not supported. The model draws each pixel given the pixels before it, so a known
    pixel that comes later cannot be taken into account without trying all values in between.

    Args:
        pixels: uint8 levels, (B, C, H, W), or (1, C, H, W) for all images of a batch. Unknown pixels are ignored.
        num_known: Number of known pixels, 0 to H W.

    Raises:
        ValueError: If `num_known` is out of range.
    """

    pixels: Tensor
    num_known: int

    def __post_init__(self) -> None:
        height, width = self.pixels.shape[-2:]
        if not 0 <= self.num_known <= height * width:
            raise ValueError(f"num_known is {self.num_known}, expected 0 to {height * width}")

    @classmethod
    def of_mask(cls, pixels: Tensor, mask: Tensor) -> "Prefix":
        """Converts a mask, bool (H, W), True where a pixel is known.

        Raises:
            ValueError: If the known pixels are not the first ones in raster order.
        """
        flat = mask.flatten()
        num_known = int(flat.sum())
        if not bool(flat[:num_known].all()):
            row, column = divmod(int(flat.long().argmin()), mask.shape[1])
            raise ValueError(
                f"the mask has known pixels after the unknown pixel (row {row}, column {column}); only the first "
                "pixels in raster order can be known, because each pixel is drawn given the pixels before it"
            )
        return cls(pixels, num_known)


def canvas(prefix: Prefix | None, noise: Tensor, levels: int) -> tuple[Tensor, int]:
    """The images before the first draw: x with the shape and precision of `noise`, and the number of known pixels."""
    if prefix is None:
        return torch.zeros_like(noise), 0
    return to_x(prefix.pixels.to(noise.device), levels, noise.dtype).expand_as(noise).clone(), prefix.num_known
