"""Fusions that act on the input image."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelbayes.models.conditioning import INPUT_SITE, ConditioningPoint, Features, Site
from pixelbayes.models.fusion.base import NO_LABEL, Condition, Fusion, FusionShape, Mlp, VectorFusion, add, append


class WholeImage(VectorFusion):
    """An embedding with the size of the whole image, C H W numbers per class; the subclass combines the two.

    The embedding ties the network to one image size.
    """

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, {INPUT_SITE: shape.image_shape.dims}, 0.05, mlp)
        self.size = shape.image_shape.chw

    def prepare(self, condition: Condition) -> Features:
        return {site: vectors.reshape(-1, *self.size) for site, vectors in super().prepare(condition).items()}

    def of_size(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Returns the embedding after checking that it has the height and width of the image.

        Raises:
            ValueError: If the sizes differ.
        """
        if x.shape[2:] != embedding.shape[2:]:
            (height, width), (expected_height, expected_width) = x.shape[2:], embedding.shape[2:]
            raise ValueError(
                f"image is {height} x {width}, expected {expected_height} x {expected_width}: "
                "the whole-image embedding ties the network to its size"
            )
        return embedding


class InputAdd(WholeImage):
    """Adds an embedding with the size of the whole image to it (report 000)."""

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return add(h, self.of_size(h, features[site])) if point is ConditioningPoint.INPUT else h


class InputConcat(WholeImage):
    """Concatenates an embedding with the size of the whole image to it (a variant of report 000)."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, mlp=mlp)
        self.input_channels = shape.image_shape.channels

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return append(h, self.of_size(h, features[site])) if point is ConditioningPoint.INPUT else h


class ChannelConcat(VectorFusion):
    """Concatenates an embedding of D numbers, repeated at every pixel, to the image (report 001, the worse variant).

    Args:
        width: D.
        mlp: As in `LabelVectors`.
    """

    def __init__(self, shape: FusionShape, *, width: int = 8, mlp: Mlp = "none"):
        super().__init__(shape, {INPUT_SITE: width}, 1.0, mlp)
        self.input_channels = width

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return append(h, features[site]) if point is ConditioningPoint.INPUT else h


class OneHotMap(Fusion):
    """Concatenates the one-hot label, repeated at every pixel, to the image: Y channels (report 002, early fusion).

    It has no weights. NO_LABEL is all zeros.
    """

    table: Tensor

    def __init__(self, shape: FusionShape):
        super().__init__(shape)
        self.input_channels = shape.num_classes
        self.register_buffer("table", torch.eye(shape.num_classes + 1), persistent=False)

    def prepare(self, condition: Condition) -> Features:
        one_hot = F.embedding(condition.label - NO_LABEL, self.table)[:, 1:]  # (B, Y); as in `LabelEmbedding`
        return {INPUT_SITE: one_hot[..., None, None]}

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return append(h, features[site]) if point is ConditioningPoint.INPUT else h
