"""Fusions that act at one place of the network: after the first convolutions, at the bottleneck, before the output."""

from torch import Tensor

from pixelbayes.models.fusion.base import OUTPUT, STEM, Features, FusionShape, Mlp, Site, VectorFusion, add, append


class StemAdd(VectorFusion):
    """An embedding of F numbers added after the first convolutions, to each stack its own (report 001, the better)."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(STEM, shape.num_filters), 0.05, mlp)

    def at_stem(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site]


class Bottleneck(VectorFusion):
    """An embedding of F numbers added to each stack at the lowest resolution, where the way up begins."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        lowest = max(site.resolution for site in shape.blocks)
        begin = [site for site in shape.blocks if (site.path, site.resolution, site.block) == ("up", lowest, 0)]
        super().__init__(shape, dict.fromkeys(begin, shape.num_filters), 0.05, mlp)

    def before_block(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site] if site in features else h


class OutputAdd(VectorFusion):
    """An embedding of F numbers added before the output layer (late fusion)."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, {OUTPUT: shape.num_filters}, 0.05, mlp)

    def at_output(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return add(h, features[site])


class OutputConcat(VectorFusion):
    """An embedding of D numbers, the same at every pixel, concatenated before the output layer (late fusion).

    Args:
        width: D.
    """

    def __init__(self, shape: FusionShape, *, width: int = 32, mlp: Mlp = "none"):
        super().__init__(shape, {OUTPUT: width}, 1.0, mlp)
        self.output_channels = width

    def at_output(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return append(h, features[site])
