"""Views of an image: the flips and turns that map its grid onto itself, so that nothing is lost or made up."""

import torch
from torch import Tensor

MIRROR, OVERTURN, TRANSPOSE = 1, 2, 4  # bits of a view: swap left and right, top and bottom, rows and columns
COUNTS = (1, 2, 4, 8)  # how many there may be: the first so many, each set a group; 8 for square images alone


def turned(images: Tensor, view: Tensor) -> Tensor:
    """Each image in its view: transposed first if it is, then mirrored, then overturned.

    Args:
        images: (B, C, H, W) of any kind; H = W if any view transposes.
        view: int64 (B,), 0 .. 7; 0 leaves an image as it is.

    >>> turned(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([MIRROR + TRANSPOSE]))
    tensor([[[[3, 1],
              [4, 2]]]])
    """
    for bit, turn in ((TRANSPOSE, _transposed), (MIRROR, _mirrored), (OVERTURN, _overturned)):
        chosen = (view & bit).bool()
        if chosen.any():
            images = torch.where(chosen[:, None, None, None], turn(images), images)
    return images


def _transposed(images: Tensor) -> Tensor:
    return images.transpose(2, 3)


def _mirrored(images: Tensor) -> Tensor:
    return images.flip(3)


def _overturned(images: Tensor) -> Tensor:
    return images.flip(2)
