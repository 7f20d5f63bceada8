"""Views of an image: the flips and rotations that map the pixel grid onto itself, without interpolation."""

import torch
from torch import Tensor

HFLIP, VFLIP, TRANSPOSE = 1, 2, 4  # bits of a view: swap left and right, swap top and bottom, swap rows and columns
COUNTS = (1, 2, 4, 8)  # possible numbers of views, each a group of transformations; 8 for square images only


def apply_view(images: Tensor, view: Tensor) -> Tensor:
    """Transforms each image into its view: transposes first, then flips horizontally, then vertically.

    Args:
        images: (B, C, H, W) of any type; H = W if any view transposes.
        view: int64 (B,), 0 .. 7; 0 leaves an image unchanged.

    >>> apply_view(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([HFLIP + TRANSPOSE]))
    tensor([[[[3, 1],
              [4, 2]]]])
    """
    for bit, transform in ((TRANSPOSE, _transposed), (HFLIP, _flipped_horizontally), (VFLIP, _flipped_vertically)):
        chosen = (view & bit).bool()
        if chosen.any():
            images = torch.where(chosen[:, None, None, None], transform(images), images)
    return images


def _transposed(images: Tensor) -> Tensor:
    return images.transpose(2, 3)


def _flipped_horizontally(images: Tensor) -> Tensor:
    return images.flip(3)


def _flipped_vertically(images: Tensor) -> Tensor:
    return images.flip(2)
