"""Several fusions in one network."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pixelbayes.models.conditioning import ConditioningPoint, Features, Site
from pixelbayes.models.fusion.base import Condition, Fusion, FusionShape


class Composition(Fusion):
    """Applies several fusions at each conditioning point, in the order of their names.

    `Site.part` separates their features.
    """

    def __init__(self, shape: FusionShape, makers: Sequence[Callable[[FusionShape], Fusion]]):
        super().__init__(shape)
        fusions: list[Fusion] = []
        for make in makers:
            appended = sum(fusion.output_channels for fusion in fusions)
            fusions.append(make(dataclasses.replace(shape, appended_channels=appended)))
        self.parts = nn.ModuleList(fusions)
        self.input_channels = sum(fusion.input_channels for fusion in fusions)
        self.output_channels = sum(fusion.output_channels for fusion in fusions)
        self.head_channels = max(fusion.head_channels for fusion in fusions)  # at most one acts at HEAD

    def fusions(self) -> Iterator[Fusion]:
        """The parts, in the order in which they act."""
        return (cast(Fusion, part) for part in self.parts)

    def prepare(self, condition: Condition) -> Features:
        return {
            site._replace(part=i): feature
            for i, fusion in enumerate(self.fusions())
            for site, feature in fusion.prepare(condition).items()
        }

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        for i, fusion in enumerate(self.fusions()):
            h = fusion.apply_at(point, h, features, site._replace(part=i))
        return h

    def class_vectors(self, num_classes: int) -> Tensor | None:
        vectors = [fusion.class_vectors(num_classes) for fusion in self.fusions()]
        present = [vector for vector in vectors if vector is not None]
        return torch.cat(present, dim=1) if present else None

    def statistics(self) -> dict[str, float]:
        return {
            f"{i}_{name}": value
            for i, fusion in enumerate(self.fusions())
            for name, value in fusion.statistics().items()
        }
