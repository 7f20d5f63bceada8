"""Samples and their nearest training images."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.metrics.nearest import Neighbours
from pixelbayes.plots.grid import image_grid

COUNT = 10  # samples in the figure, at most


def nearest_neighbours(samples: Tensor, training: Tensor, neighbours: Neighbours, levels: int) -> Figure:
    """The samples that are nearest to a training image, each above that image, with the distance as title.

    Args:
        samples: uint8 (N, C, H, W), 0 .. levels-1.
        training: uint8 (M, C, H, W).
        neighbours: The nearest training image of each sample.
        levels: Number of values a colour can take.
    """
    closest = neighbours.distance.argsort(stable=True)[:COUNT]
    pairs = torch.stack((samples[closest], training[neighbours.index[closest]]))  # (2, n, C, H, W)
    distances = [f"{distance:.3f}" for distance in neighbours.distance[closest].tolist()]
    return image_grid(pairs, levels, row_labels=["sample", "nearest in training"], column_labels=distances)
