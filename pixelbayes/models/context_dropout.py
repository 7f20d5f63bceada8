"""Context dropout: patches of an image are hidden from the network, which must tell their values all the same.

Where a pixel's neighbours are hidden, what is left to go by is the class and what stands further off: so the network
learns what tells classes apart, rather than texture, which they share. Word dropout of Bowman et al. (2016),
https://arxiv.org/abs/1511.06349, section 3.1, on images; Chen et al. (2017), https://arxiv.org/abs/1611.02731, section
3, on why an autoregressive model ignores what else it is told unless its context is made poorer.
"""

import torch
from torch import Tensor

from pixelbayes.utils.randomness import Key

_STREAM = 0xC0DE  # keeps these masks apart from those of activations


def context_mask(key: Key, probability: float, patch: int, height: int, width: int) -> Tensor:
    """Where the network may look: 1 there and 0 in hidden patches, float32 (B, 1, H, W).

    Args:
        key: Randomness, a stream for each image.
        probability: Of hiding a patch.
        patch: Side of the patches, in pixels; those at the right and at the bottom may be cut off.
        height: H.
        width: W.
    """
    kept, _ = key.fold(_STREAM).keep(1 - probability, 1, -(-height // patch), -(-width // patch))
    return kept.float().repeat_interleave(patch, 2).repeat_interleave(patch, 3)[:, :, :height, :width]


def fixed_masks(count: int, probability: float, patch: int, height: int, width: int) -> Tensor:
    """So many masks to score images by, (count, 1, H, W); the same for every image, so that each leaves a density."""
    return context_mask(Key.of(0, "masks", 0, torch.arange(count)), probability, patch, height, width)
