"""How the network is told the view of an image, beside its class."""

import dataclasses

import torch
from torch import Tensor

from pixelbayes.models.fusion.base import Condition, Features, FusionShape
from pixelbayes.models.fusion.block import FiLM


class ViewFiLM(FiLM):
    """FiLM by the view of an image, and by whether it was changed, rather than by its class.

    Distribution augmentation (Jun et al., 2020, https://proceedings.mlr.press/v119/jun20a.html): one network learns
    p(t(x) | c, t) of every transformation t that it is told, so that hard ones add to what it sees without blurring
    what it says of images as they are. A condition that tells no view means view 0.

    Args:
        shape: The network around it.
        views: How many there are.
    """

    def __init__(self, shape: FusionShape, *, views: int):
        super().__init__(dataclasses.replace(shape, num_classes=views))

    def prepare(self, condition: Condition) -> Features:
        view = condition.view
        return super().prepare(Condition(torch.zeros_like(condition.label) if view is None else view))

    def class_vectors(self, num_classes: int) -> Tensor | None:
        return None

    def statistics(self) -> dict[str, float]:
        return {}
