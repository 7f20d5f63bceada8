"""One density from several passes over an image: in several views, with and without masks, by several networks."""

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

from pixelbayes.images.pixels import check_x
from pixelbayes.images.views import apply_view
from pixelbayes.inference.classifier import ClassDensity
from pixelbayes.models.fusion import Condition
from pixelbayes.models.pixelcnn import PixelCNN

Combine = Literal["mixture", "product"]
"""How the log-probabilities of several passes are combined; see `combine_log_probs`."""


def combine_log_probs(log_prob: Tensor, how: Combine) -> Tensor:
    """Combines log p(x | c) of several passes, (R, B, Y) -> (B, Y), in nats.

    A view t maps the pixel grid onto itself, so p(t(x) | c, t) is a density of x. The prediction of a network that sees
    only some pixels is a density too, if the mask is the same for all images. "mixture" is the log of the mean
    probability, which is again a density, with meaningful bits per dimension. "product" is the mean of the
    log-probabilities, a product of experts (Hinton, 2002). It is not normalised, but every pass contributes, so it
    classifies better where the passes make independent errors.
    """
    return log_prob.mean(dim=0) if how == "product" else log_prob.logsumexp(dim=0) - math.log(len(log_prob))


class ViewDensity(Protocol):
    """A density of images in a given view; `Scorer` is one."""

    def class_log_prob(self, x: Tensor, num_classes: int, view: int = 0, visible: Tensor | None = None) -> Tensor:
        """log p(x | c) under every class, (B, Y), in nats.

        Args:
            x: Images, (B, C, H, W), already in the view.
            num_classes: Y.
            view: The view; 0 for unchanged images.
            visible: Mask of the network's input, (1, H, W): 1 where it sees the image; None for all visible.
        """


class ReferenceScorer:
    """Runs the network once per class. It is the reference for `Scorer`, in every view.

    Args:
        network: The network.
    """

    def __init__(self, network: PixelCNN):
        self.network = network

    @torch.no_grad()
    def class_log_prob(self, x: Tensor, num_classes: int, view: int = 0, visible: Tensor | None = None) -> Tensor:
        """As in `ViewDensity`; x is checked as in `Scorer`."""
        check_x(x, self.network.config.image_shape)
        zeros = torch.zeros(len(x), dtype=torch.long, device=x.device)
        conditions = [Condition(zeros + label, zeros + view) for label in range(num_classes)]
        mask = None if visible is None else visible.expand(len(x), -1, -1, -1)
        return torch.stack([self.network.log_prob(x, condition, visible=mask) for condition in conditions], dim=1)


class MultiView:
    """log p(x | c) over several views of an image (test-time augmentation), optionally with masked passes.

    Each view presents the pixels in another order. With masks every view is scored once unmasked and once per mask.
    The unmasked passes give the likelihood of the image. The masked passes depend more on the class, and decide it.

    Args:
        density: A density of images in a view, of a network conditioned on at least that many views.
        views: V, one of `images.views.COUNTS`.
        combine: As in `combine_log_probs`.
        masks: (V M, 1, H, W), M per view, as drawn by `fixed_masks`.
    """

    def __init__(self, density: ViewDensity, views: int, combine: Combine = "mixture", masks: Tensor | None = None):
        self.density = density
        self.views = views
        self.combine: Combine = combine
        self.masks = () if masks is None else masks.tensor_split(views)

    def pass_log_probs(self, x: Tensor, num_classes: int) -> Tensor:
        """log p(x | c) of each pass, (V, 1 + M, B, Y), in nats: for each view the unmasked pass, then its masks."""
        passes = []
        for view in range(self.views):
            viewed = apply_view(x, torch.full((len(x),), view, device=x.device))
            masks = self.masks[view].to(x.device) if self.masks else ()
            of_view = [self.density.class_log_prob(viewed, num_classes, view, mask) for mask in (None, *masks)]
            passes.append(torch.stack(of_view))
        return torch.stack(passes)

    def class_log_prob(self, x: Tensor, num_classes: int) -> Tensor:
        """log p(x | c) of images (B, C, H, W) under every class, (B, Y), in nats."""
        return combine_log_probs(classifying_passes(self.pass_log_probs(x, num_classes)), self.combine)


def classifying_passes(passes: Tensor) -> Tensor:
    """The passes that decide the class, (V, 1 + M, B, Y) -> (R, B, Y): the masked ones if there are any, else all."""
    return (passes[:, 1:] if passes.shape[1] > 1 else passes).flatten(0, 1)


class EnsembleDensity:
    """log p(x | c) of several networks with the same classes, as one `ClassDensity`.

    Args:
        densities: One or more densities, such as `Scorer` or `MultiView`.
        combine: As in `combine_log_probs`.

    Raises:
        ValueError: If there is no density.
    """

    def __init__(self, densities: Sequence[ClassDensity], combine: Combine = "mixture"):
        if not densities:
            raise ValueError("densities is empty, expected one or more")
        self.densities = densities
        self.combine: Combine = combine

    def class_log_prob(self, x: Tensor, num_classes: int) -> Tensor:
        """log p(x | c) of images (B, C, H, W) under every class, (B, Y), in nats."""
        each = torch.stack([density.class_log_prob(x, num_classes) for density in self.densities])
        return combine_log_probs(each, self.combine)
