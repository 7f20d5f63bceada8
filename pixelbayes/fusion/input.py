"""Fusions that act on the image on its way in."""

from torch import Tensor

from pixelbayes.fusion.base import INPUT, Condition, Features, Fusion, FusionShape, LabelEmbedding, Site


class InputAdd(Fusion):
    """An embedding with the size of the whole image, added to it: C H W numbers a class (report 000).

    The embedding ties the network to one image size.
    """

    def __init__(self, shape: FusionShape):
        super().__init__(shape)
        self.size = (shape.channels, *shape.image_size)
        self.embedding = LabelEmbedding(
            shape.num_classes, shape.channels * shape.image_size[0] * shape.image_size[1], 0.05
        )

    def prepare(self, condition: Condition) -> Features:
        return {INPUT: self.embedding(condition.label).unflatten(1, self.size)}  # (B, C, H, W)

    def at_input(self, x: Tensor, features: Features, site: Site) -> Tensor:
        return x + features[site]
