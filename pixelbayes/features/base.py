"""What turns images into the numbers that are compared."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from pixelbayes.utils.progress import Tracker, no_progress


class Extractor(Protocol):
    """Images to features; figures of different extractors cannot be compared, so each has a name."""

    @property
    def name(self) -> str:
        """Stands beside every figure."""

    @property
    def dims(self) -> int:
        """D."""

    def __call__(self, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
        """Features, float64 (N, D) on the CPU, of images uint8 (N, C, H, W) in 0 .. levels-1.

        `track` wraps the loop over batches.

        Raises:
            InputError: If the extractor cannot take such images.
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
    """Rows (N, D) of a function of images, computed a batch at a time on a device; float64 on the CPU.

    Raises:
        ValueError: If there is no image.
    """
    if len(pixels) == 0:
        raise ValueError("there is no image, expected at least one")
    starts = track(range(0, len(pixels), batch_size))
    return torch.cat([compute(pixels[at : at + batch_size].to(device)).cpu().double() for at in starts])
