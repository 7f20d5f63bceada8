"""What the optimizer minimises: pure functions of (network, batch, key)."""

from typing import NamedTuple

from torch import Tensor

from pixelbayes.likelihood import bits_per_dim
from pixelbayes.model import PixelCNN
from pixelbayes.pixels import to_x
from pixelbayes.randomness import Key


class Batch(NamedTuple):
    """Images to learn from."""

    pixels: Tensor  # uint8 levels, (B, C, H, W)
    label: Tensor  # int64 (B,), NO_LABEL where unknown


def generative(network: PixelCNN, batch: Batch, key: Key) -> Tensor:
    """Mean of -log p(x | c) in bits per dimension: maximum likelihood.

    Args:
        key: Randomness of the step, a stream for each image.
    """
    x = to_x(batch.pixels, network.config.levels, next(network.parameters()).dtype)
    return bits_per_dim(-network.log_prob(x, batch.label, key), network.config.dims).mean()
