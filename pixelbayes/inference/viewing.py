"""One density of several views: what a network says of an image whichever way it is turned."""

import math
from typing import Literal, Protocol

import torch
from torch import Tensor

from pixelbayes.fusion import Condition
from pixelbayes.model import PixelCNN
from pixelbayes.views import COUNTS, turned

Combine = Literal["density", "mean"]


class ViewDensity(Protocol):
    """A density of images in a view; `Scorer` is one."""

    def class_log_prob(self, x: Tensor, num_classes: int, view: int = 0) -> Tensor:
        """Nats, (B, Y), of images (B, C, H, W) that are in that view, under every class."""


class OneByOne:
    """A network, asked for one class after the other: the oracle of `Scorer` in every view."""

    def __init__(self, network: PixelCNN):
        self.network = network

    @torch.no_grad()
    def class_log_prob(self, x: Tensor, num_classes: int, view: int = 0) -> Tensor:
        """As `ViewDensity` has it."""
        label = torch.zeros(len(x), dtype=torch.long, device=x.device)
        told = [Condition(label + of, label + view) for of in range(num_classes)]
        return torch.stack([self.network.log_prob(x, condition) for condition in told], dim=1)


class Viewed:
    """log p(x | c) over the views of an image, in each of which its pixels are told in another order.

    Args:
        density: Of images in a view; of a network that was told of so many at least.
        views: V, one of `views.COUNTS`.
        combine: How; see `combined`.
    """

    def __init__(self, density: ViewDensity, views: int, combine: Combine = "density"):
        if views not in COUNTS:
            raise ValueError(f"views is {views}, expected one of {COUNTS}")
        self.density = density
        self.views = views
        self.combine = combine

    def view_log_prob(self, x: Tensor, num_classes: int) -> Tensor:
        """Of each view of its own, (V, B, Y), in nats."""
        view = torch.arange(self.views, device=x.device)[:, None].expand(-1, len(x))  # (V, B)
        return torch.stack([self.density.class_log_prob(turned(x, of), num_classes, i) for i, of in enumerate(view)])

    def class_log_prob(self, x: Tensor, num_classes: int) -> Tensor:
        """Nats, (B, Y), of images (B, C, H, W) as they are, under every class."""
        return combined(self.view_log_prob(x, num_classes), self.combine)


def combined(log_prob: Tensor, how: Combine) -> Tensor:
    """One log p(x | c), (B, Y), of those of each view, (V, B, Y); in nats.

    A view t maps the grid onto itself, so that p(t(x) | c, t) is a density of x. "density" takes the log of the mean of
    these probabilities: a density too, whose bits per dimension count. "mean" takes the mean of their logarithms, which
    is none, but lets every view speak: where views err apart it classifies better (a product of experts; Hinton, 2002).
    """
    return log_prob.mean(dim=0) if how == "mean" else log_prob.logsumexp(dim=0) - math.log(len(log_prob))
