"""Fusions that act on the image on its way in."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelbayes.models.fusion.base import (
    INPUT,
    NO_LABEL,
    Condition,
    Features,
    Fusion,
    FusionShape,
    Mlp,
    Site,
    VectorFusion,
    add,
    append,
)


class WholeImage(VectorFusion):
    """An embedding with the size of the whole image, C H W numbers a class; the subclass says how the two meet.

    The embedding ties the network to one image size.
    """

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        size = (shape.channels, *shape.image_size)
        super().__init__(shape, {INPUT: math.prod(size)}, 0.05, mlp)
        self.size = size

    def prepare(self, condition: Condition) -> Features:
        return {site: vectors.reshape(-1, *self.size) for site, vectors in super().prepare(condition).items()}

    def fitting(self, x: Tensor, embedding: Tensor) -> Tensor:
        """The embedding, if image and embedding show the same positions.

        Raises:
            ValueError: If they do not.
        """
        if x.shape[2:] != embedding.shape[2:]:
            (height, width), (known_height, known_width) = x.shape[2:], embedding.shape[2:]
            raise ValueError(
                f"image is {height} x {width}, expected {known_height} x {known_width}: "
                "the whole-image embedding ties the network to its size"
            )
        return embedding


class InputAdd(WholeImage):
    """An embedding with the size of the whole image, added to it (report 000)."""

    def at_input(self, x: Tensor, features: Features, site: Site) -> Tensor:
        return add(x, self.fitting(x, features[site]))


class InputConcat(WholeImage):
    """An embedding with the size of the whole image, concatenated to it (a variant of report 000)."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, mlp=mlp)
        self.input_channels = shape.channels

    def at_input(self, x: Tensor, features: Features, site: Site) -> Tensor:
        return append(x, self.fitting(x, features[site]))


class ChannelConcat(VectorFusion):
    """An embedding of D numbers, the same at every pixel, concatenated to the channels (report 001, the worse of two).

    Args:
        width: D.
    """

    def __init__(self, shape: FusionShape, *, width: int = 8, mlp: Mlp = "none"):
        super().__init__(shape, {INPUT: width}, 1.0, mlp)
        self.input_channels = width

    def at_input(self, x: Tensor, features: Features, site: Site) -> Tensor:
        return append(x, features[site])


class OneHotMap(Fusion):
    """The one-hot label at every pixel, Y channels concatenated to the image (report 002, early).

    It has no weights; a label that is not told is all zeros.
    """

    table: Tensor

    def __init__(self, shape: FusionShape):
        super().__init__(shape)
        self.input_channels = shape.num_classes
        self.register_buffer("table", torch.eye(shape.num_classes + 1), persistent=False)

    def prepare(self, condition: Condition) -> Features:
        one_hot = F.embedding(condition.label - NO_LABEL, self.table)[:, 1:]  # (B, Y); as in `LabelEmbedding`
        return {INPUT: one_hot[..., None, None]}

    def at_input(self, x: Tensor, features: Features, site: Site) -> Tensor:
        return append(x, features[site])
