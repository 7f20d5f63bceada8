"""Conditions the network on the view of an image, besides its class."""

import dataclasses

import torch
from torch import Tensor

from pixelbayes.models.conditioning import Features
from pixelbayes.models.fusion.base import Condition, FusionShape
from pixelbayes.models.fusion.block import FiLM


class ViewFiLM(FiLM):
    """FiLM by the view of an image, and by whether it was augmented, instead of by its class.

    Distribution augmentation (Jun et al., 2020, https://proceedings.mlr.press/v119/jun20a.html): one network learns
    p(t(x) | c, t) for every transformation t. Strong transformations then add training data without blurring the
    density of unchanged images. A condition without a view means view 0.

    Args:
        shape: The network around the fusion.
        num_conditions: Number of views, twice as many if the network is also conditioned on augmentation.
    """

    def __init__(self, shape: FusionShape, *, num_conditions: int):
        super().__init__(dataclasses.replace(shape, num_classes=num_conditions))

    def prepare(self, condition: Condition) -> Features:
        view = condition.view
        return super().prepare(Condition(torch.zeros_like(condition.label) if view is None else view))

    def class_vectors(self, num_classes: int) -> Tensor | None:
        return None

    def statistics(self) -> dict[str, float]:
        return {}
