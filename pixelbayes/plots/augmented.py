"""Augmented training images."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.data import AugmentationConfig, augment
from pixelbayes.plots.grid import image_grid
from pixelbayes.utils.randomness import Key


def augmentations(pixels: Tensor, levels: int, config: AugmentationConfig, seed: int = 0, draws: int = 9) -> Figure:
    """Each image in the first column, and random augmentations of it in the others.

    Args:
        pixels: uint8 (N, C, H, W), 0 .. levels-1.
        levels: Number of values a colour can take.
        config: The augmentation.
        seed: Random seed.
        draws: Number of augmentations of each image.
    """
    index = torch.arange(len(pixels), device=pixels.device)
    augmented = [augment(pixels, levels, config, Key.of(seed, "augmentation", step, index)) for step in range(draws)]
    titles = ["original", *("" for _ in augmented)]
    return image_grid(torch.stack([pixels, *augmented], dim=1), levels, column_labels=titles)
