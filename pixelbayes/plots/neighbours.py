"""Samples beside the training images they come nearest to."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.metrics.nearest import Neighbours
from pixelbayes.plots import image_grid

MOST = 10  # samples shown


def nearest_neighbours(samples: Tensor, training: Tensor, neighbours: Neighbours, levels: int) -> Figure:
    """The samples that come nearest to a training image, each over that image; the distance stands above.

    Args:
        samples: uint8 (N, C, H, W), 0 .. levels-1.
        training: uint8 (M, C, H, W).
        neighbours: Of the samples among the training images.
        levels: Number of values a colour can take.
    """
    shown = neighbours.distance.argsort(stable=True)[:MOST]
    pairs = torch.stack((samples[shown], training[neighbours.index[shown]]))  # (2, n, C, H, W)
    distances = [f"{distance:.3f}" for distance in neighbours.distance[shown].tolist()]
    return image_grid(pairs, levels, row_labels=["sample", "nearest in training"], column_labels=distances)
