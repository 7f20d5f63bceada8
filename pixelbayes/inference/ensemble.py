"""Several networks as one density."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pixelbayes.inference.classifier import ClassDensity
from pixelbayes.inference.viewing import Combine, combined


class Ensemble:
    """log p(x | c) of several networks that know the same classes: a `ClassDensity`, as each of them is.

    Args:
        densities: M of them, `Scorer`s say, or what they are in several views.
        combine: How; see `combined`.

    Raises:
        ValueError: If there is none.
    """

    def __init__(self, densities: Sequence[ClassDensity], combine: Combine = "density"):
        if not densities:
            raise ValueError("an ensemble of no density, expected one or more")
        self.densities = densities
        self.combine = combine

    def class_log_prob(self, x: Tensor, num_classes: int) -> Tensor:
        """Nats, (B, Y), of images (B, C, H, W) under every class."""
        return combined(torch.stack([each.class_log_prob(x, num_classes) for each in self.densities]), self.combine)
