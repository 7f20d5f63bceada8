"""Several fusions in one network."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pixelbayes.models.fusion.base import DOORS, Condition, Features, Fusion, FusionShape, Site


class Composition(Fusion):
    """Fusions side by side: at each door they act in the order in which they are named.

    `Site.part` keeps their features apart.
    """

    def __init__(self, shape: FusionShape, makers: Sequence[Callable[[FusionShape], Fusion]]):
        super().__init__(shape)
        fusions = [make(shape) for make in makers]
        self.parts = nn.ModuleList(fusions)
        self.input_channels = sum(fusion.input_channels for fusion in fusions)
        self.output_channels = sum(fusion.output_channels for fusion in fusions)

    def prepare(self, condition: Condition) -> Features:
        return {
            site._replace(part=i): vectors
            for i, part in enumerate(self.parts)
            for site, vectors in cast(Fusion, part).prepare(condition).items()
        }

    def class_vectors(self, num_classes: int) -> Tensor | None:
        vectors = [cast(Fusion, part).class_vectors(num_classes) for part in self.parts]
        known = [vector for vector in vectors if vector is not None]
        return torch.cat(known, dim=1) if known else None

    def statistics(self) -> dict[str, float]:
        return {
            f"{i}_{name}": value
            for i, part in enumerate(self.parts)
            for name, value in cast(Fusion, part).statistics().items()
        }


def _through(door: str) -> Callable[[Composition, Tensor, Features, Site], Tensor]:
    """The door of a composition: that of each part in turn."""

    def act(self: Composition, h: Tensor, features: Features, site: Site) -> Tensor:
        for i, part in enumerate(self.parts):
            h = getattr(part, door)(h, features, site._replace(part=i))
        return h

    return act


for _door in DOORS:
    setattr(Composition, _door, _through(_door))
