"""Makes bundled.npz: one sample per class of each bundled network, and log p(x | c) under each class, in float64.

The numbers show that the bundled weights still compute the same function. Run it only after the weights have changed,
from the repository root: python tests/vectors/make_bundled.py
"""

from pathlib import Path

import numpy as np
import torch

from pixelbayes.checkpoints.bundled import bundled_names
from pixelbayes.checkpoints.checkpoint import load
from pixelbayes.images.pixels import to_x
from pixelbayes.inference import SamplingConfig, sample_classes


def main():
    arrays = {}
    for name in bundled_names():
        trained = load(name)
        labels = range(len(trained.class_names))
        pixels = sample_classes(trained.network, labels, SamplingConfig(count=1)).flatten(0, 1)  # (Y, C, H, W)
        arrays[f"{name} pixels"] = pixels.numpy()
        arrays[f"{name} log_prob"] = log_prob(trained, pixels).numpy()
    np.savez_compressed(Path(__file__).with_name("bundled.npz"), **arrays)


@torch.no_grad()
def log_prob(trained, pixels):
    """log p(x | c) of each image (row) under each class (column), float64, in nats."""
    x = to_x(pixels, trained.image_shape.levels, torch.float64)
    network = trained.network.double()
    labels = range(len(trained.class_names))
    return torch.stack([network.log_prob(x, torch.full((len(x),), label)) for label in labels], dim=1)


if __name__ == "__main__":
    main()
