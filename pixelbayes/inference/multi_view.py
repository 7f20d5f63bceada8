"""One density of several readings of an image: turned whichever way, seen whole and with patches hidden."""

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from pixelbayes.images.views import COUNTS, turned
from pixelbayes.inference.classifier import ClassDensity
from pixelbayes.models.fusion import Condition
from pixelbayes.models.pixelcnn import PixelCNN

Combine = Literal["density", "mean"]


class ViewDensity(Protocol):
    """A density of images in a view; `Scorer` is one."""

    def class_log_prob(self, x: Tensor, num_classes: int, view: int = 0, shown: Tensor | None = None) -> Tensor:
        """Nats, (B, Y), of images (B, C, H, W) that are in that view, under every class.

        Each pixel is told from those before it that are `shown`, (1, H, W), 1 there and 0 elsewhere; None for all.
        """


class OneByOne:
    """A network, asked for one class after the other: the oracle of `Scorer` in every view."""

    def __init__(self, network: PixelCNN):
        self.network = network

    @torch.no_grad()
    def class_log_prob(self, x: Tensor, num_classes: int, view: int = 0, shown: Tensor | None = None) -> Tensor:
        """As `ViewDensity` has it."""
        label = torch.zeros(len(x), dtype=torch.long, device=x.device)
        told = [Condition(label + of, label + view) for of in range(num_classes)]
        where = None if shown is None else shown.expand(len(x), -1, -1, -1)
        return torch.stack([self.network.log_prob(x, condition, shown=where) for condition in told], dim=1)


class Viewed:
    """log p(x | c) over the views of an image, in each of which its pixels are told in another order.

    With masks it is read by these in every view. What a network says that sees an image whole is its likelihood; what
    it says by masks leans more on the class, and decides it.

    Args:
        density: Of images in a view; of a network that was told of so many at least.
        views: V, one of `views.COUNTS`.
        combine: How; see `combined`.
        masks: (V M, 1, H, W), M for each view, as `fixed_masks` draws.
    """

    def __init__(self, density: ViewDensity, views: int, combine: Combine = "density", masks: Tensor | None = None):
        if views not in COUNTS:
            raise ValueError(f"views is {views}, expected one of {COUNTS}")
        self.density = density
        self.views = views
        self.combine = combine
        self.masks = () if masks is None else masks.tensor_split(views)

    def reading_log_prob(self, x: Tensor, num_classes: int) -> Tensor:
        """Of each reading of its own, (V, 1 + M, B, Y), in nats: of each view the whole first, then by its masks."""
        found = []
        for view in range(self.views):
            seen = turned(x, torch.full((len(x),), view, device=x.device))
            masks = self.masks[view].to(x.device) if self.masks else ()
            each = [self.density.class_log_prob(seen, num_classes, view, shown) for shown in (None, *masks)]
            found.append(torch.stack(each))
        return torch.stack(found)

    def class_log_prob(self, x: Tensor, num_classes: int) -> Tensor:
        """Nats, (B, Y), of images (B, C, H, W) as they are, under every class."""
        return combined(deciding(self.reading_log_prob(x, num_classes)), self.combine)


def deciding(readings: Tensor) -> Tensor:
    """The readings that tell the class, (R, B, Y), of all, (V, 1 + M, B, Y): those by masks, where there are any."""
    return (readings[:, 1:] if readings.shape[1] > 1 else readings).flatten(0, 1)


def combined(log_prob: Tensor, how: Combine) -> Tensor:
    """One log p(x | c), (B, Y), of those of each reading, (R, B, Y); in nats.

    A view t maps the grid onto itself, so p(t(x) | c, t) is a density of x; so is what a network says that may look
    at some pixels alone, as long as they are the same for all images. "density" takes the log of the mean of these
    probabilities: a density too, whose bits per dimension count. "mean" takes the mean of their logarithms, which is
    none, but lets every reading speak: where they err apart it classifies better (a product of experts; Hinton, 2002).
    """
    return log_prob.mean(dim=0) if how == "mean" else log_prob.logsumexp(dim=0) - math.log(len(log_prob))


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
