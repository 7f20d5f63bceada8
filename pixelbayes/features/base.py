"""The interface of feature extractors, which convert images to the vectors that FID and KID compare."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from pixelbayes.utils.progress import Tracker, no_progress


class Extractor(Protocol):
    """Converts images to features. FID and KID of different extractors are not comparable, so each has a name."""

    @property
    def name(self) -> str:
        """Identifier that is stored beside FID and KID."""

    @property
    def dims(self) -> int:
        """D, number of features."""

    def __call__(self, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
        """Features of images, float64 (N, D) on the CPU.

        Args:
            pixels: uint8 (N, C, H, W), in 0 .. levels-1.
            levels: Number of values a colour can take.
            track: Wraps the loop over batches, to show progress.

        Raises:
            InputError: If the extractor does not support such images.
        """


@torch.no_grad()
def in_batches(
    compute: Callable[[Tensor], Tensor],
    pixels: Tensor,
    *,
    batch_size: int,
    device: torch.device | str,
    track: Tracker = no_progress,
) -> Tensor:
    """Applies a function of images batch by batch; the result is float64 (N, D) on the CPU.

    Args:
        compute: Function of a batch of images (B, C, H, W) on the device, with a result (B, D).
        pixels: Images (N, C, H, W), N at least 1.
        batch_size: Images at a time, at most.
        device: Where to compute.
        track: Wraps the loop over batches, to show progress.

    Raises:
        ValueError: If there is no image.
    """
    if len(pixels) == 0:
        raise ValueError("pixels contains no image, expected at least one")
    starts = track(range(0, len(pixels), batch_size))
    return torch.cat([compute(pixels[start : start + batch_size].to(device)).cpu().double() for start in starts])
