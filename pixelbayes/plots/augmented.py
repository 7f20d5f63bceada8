"""What training makes of an image."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.data import AugmentationConfig, augment
from pixelbayes.plots.grid import image_grid
from pixelbayes.utils.randomness import Key


def augmentations(pixels: Tensor, levels: int, config: AugmentationConfig, seed: int = 0, draws: int = 9) -> Figure:
    """Each image as it is, at the left, then as training may meet it.

    Args:
        pixels: uint8 (N, C, H, W), 0 .. levels-1.
        levels: Number of values a colour can take.
        config: What may happen to an image.
        seed: Which of all that may happen is shown.
        draws: Columns beside the image itself.
    """
    index = torch.arange(len(pixels), device=pixels.device)
    met = [augment(pixels, levels, config, Key.of(seed, "augmentation", step, index)) for step in range(draws)]
    titles = ["as it is", *("" for _ in met)]
    return image_grid(torch.stack([pixels, *met], dim=1), levels, column_labels=titles)
