"""Fusions that act at one site: after the first convolutions, at the bottleneck, or before the last layer."""

from torch import Tensor

from pixelbayes.models.conditioning import OUTPUT_SITE, STEM_SITES, ConditioningPoint, Features, Site
from pixelbayes.models.fusion.base import FusionShape, Mlp, VectorFusion, add, append


class StemAdd(VectorFusion):
    """Adds an embedding of F numbers after the first convolutions of each stack (report 001, the better variant)."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(STEM_SITES, shape.num_filters), 0.05, mlp)

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site] if point is ConditioningPoint.STEM else h


class Bottleneck(VectorFusion):
    """Adds an embedding of F numbers to each stack at the lowest resolution, where the up path begins."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        lowest = max(site.resolution for site in shape.blocks)
        first = [site for site in shape.blocks if (site.path, site.resolution, site.block) == ("up", lowest, 0)]
        super().__init__(shape, dict.fromkeys(first, shape.num_filters), 0.05, mlp)

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        acts = point is ConditioningPoint.BEFORE_BLOCK and site in features
        return h + features[site] if acts else h


class OutputAdd(VectorFusion):
    """Adds an embedding of F numbers before the last layer (late fusion)."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, {OUTPUT_SITE: shape.num_filters}, 0.05, mlp)

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return add(h, features[site]) if point is ConditioningPoint.OUTPUT else h


class OutputConcat(VectorFusion):
    """Concatenates an embedding of D numbers, repeated at every pixel, before the last layer (late fusion).

    Args:
        width: D.
        mlp: As in `LabelVectors`.
    """

    def __init__(self, shape: FusionShape, *, width: int = 32, mlp: Mlp = "none"):
        super().__init__(shape, {OUTPUT_SITE: width}, 1.0, mlp)
        self.output_channels = width

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return append(h, features[site]) if point is ConditioningPoint.OUTPUT else h
