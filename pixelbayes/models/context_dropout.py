"""Context dropout: masks patches of an image in the network's input during training.

The network still has to predict every pixel. Where the neighbours of a pixel are masked, the prediction must rely on
the class and on distant pixels, so the network learns what distinguishes classes rather than texture, which all classes
share. Word dropout of Bowman et al. (2016), https://arxiv.org/abs/1511.06349, section 3.1, applied to images. Chen et
al. (2017), https://arxiv.org/abs/1611.02731, section 3, explain why an autoregressive model ignores other inputs unless
its local context is weakened.
"""

import torch
from torch import Tensor

from pixelbayes.utils.randomness import Key

_STREAM = 0xC0DE  # separates these masks from those of activations


def context_mask(key: Key, probability: float, patch: int, height: int, width: int) -> Tensor:
    """Random masks of visible patches: 1 where the network sees the image and 0 elsewhere, float32 (B, 1, H, W).

    Args:
        key: Random key, one stream per image.
        probability: Probability of masking a patch.
        patch: Side of the patches, in pixels; patches at the right and the bottom edge may be cut off.
        height: H.
        width: W.
    """
    visible, _ = key.fold(_STREAM).keep(1 - probability, 1, -(-height // patch), -(-width // patch))
    return visible.float().repeat_interleave(patch, 2).repeat_interleave(patch, 3)[:, :, :height, :width]


def fixed_masks(count: int, probability: float, patch: int, height: int, width: int) -> Tensor:
    """Masks for scoring images, (count, 1, H, W).

    They are the same for every image, so that p(x | c) under each mask stays a density.
    """
    return context_mask(Key.of(0, "masks", 0, torch.arange(count)), probability, patch, height, width)
