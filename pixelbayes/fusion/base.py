"""Doors: the places where a condition may enter the network, each the identity until a fusion overrides it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

NO_LABEL = -1  # the value of a label that is not told


@dataclass(frozen=True)
class Condition:
    """What the network is told about each image.

    Args:
        label: int64 (B,), 0 .. Y-1, or NO_LABEL.
    """

    label: Tensor

    @classmethod
    def of(cls, condition: "Condition | Tensor | None", batch: int, device: torch.device) -> "Condition":
        """A condition for a batch from a condition, from labels (B,), or from None: no label.

        Raises:
            ValueError: If the labels are not one whole number for each image.
        """
        if condition is None:
            return cls(torch.full((batch,), NO_LABEL, device=device))
        condition = condition if isinstance(condition, Condition) else cls(condition)
        if condition.label.shape != (batch,) or condition.label.is_floating_point():
            label = condition.label
            raise ValueError(
                f"label has shape {tuple(label.shape)} and {label.dtype}, expected ({batch},) whole numbers"
            )
        return condition


class Site(NamedTuple):
    """A place in the network, as a fusion may need to know it."""

    path: Literal["input", "stem", "down", "up", "output"]  # down: contracting half, up: expanding half of the U
    stack: Literal["vertical", "horizontal", "both"]
    resolution: int  # height and width are those of the image / 2^resolution
    block: int  # counted among those of its path, stack and resolution


INPUT = Site("input", "both", 0, 0)
STEM = (Site("stem", "vertical", 0, 0), Site("stem", "horizontal", 0, 0))
OUTPUT = Site("output", "horizontal", 0, 0)

Features = dict[Site, Tensor]


@dataclass(frozen=True, kw_only=True)
class FusionShape:
    """What a fusion must know of the network around it to size its weights."""

    num_classes: int  # Y
    channels: int  # C
    image_size: tuple[int, int]  # H, W
    num_filters: int  # F
    blocks: tuple[Site, ...]  # every GatedResNet, in the order in which they run


class Fusion(nn.Module):
    """Where the condition enters the network: a door at each place, each the identity until overridden.

    `prepare` turns a condition into label features once per image: for each site it needs, vectors (B, n, 1, 1) or
    maps (B, n, h, w) of the size of that site. A door is pointwise: its output at a position depends on h and on the
    features at that position only, and whoever calls it hands it features already cut to the positions of h. This one
    promise keeps every fusion causal, and lets a cached sampler call a door on a single row or pixel.
    """

    input_channels: int = 0  # channels that at_input appends to the image
    output_channels: int = 0  # channels that at_output appends before the last layer

    def __init__(self, shape: FusionShape):
        super().__init__()

    def prepare(self, condition: Condition) -> Features:
        return {}

    def at_input(self, x: Tensor, features: Features, site: Site) -> Tensor:
        """The image, (B, C, H, W) -> (B, C + input_channels, H, W), before the ones channel and the padding."""
        return x

    def at_stem(self, h: Tensor, features: Features, site: Site) -> Tensor:
        """After the first convolutions of a stack, (B, F, H, W) -> same."""
        return h

    def before_block(self, h: Tensor, features: Features, site: Site) -> Tensor:
        """What a block and its residual connection both read, (B, F, h, w) -> same."""
        return h

    def before_gate(self, h: Tensor, features: Features, site: Site) -> Tensor:
        """Before the gate of a block, (B, 2F, h, w) -> same: F channels of values, then F of gates."""
        return h

    def scale_residual(self, h: Tensor, features: Features, site: Site) -> Tensor:
        """What a block is about to add, (B, F, h, w) -> same."""
        return h

    def after_block(self, h: Tensor, features: Features, site: Site) -> Tensor:
        """What a block hands on, (B, F, h, w) -> same."""
        return h

    def at_output(self, h: Tensor, features: Features, site: Site) -> Tensor:
        """Before the output layer, (B, F, H, W) -> (B, F + output_channels, H, W)."""
        return h


class LabelEmbedding(nn.Embedding):
    """A row for NO_LABEL, first, which starts at zero, then one for each class.

    Args:
        num_classes: Y; may be 0.
        width: Numbers in a row.
        std: Standard deviation of the class rows at the start; 0 starts them all at zero.
    """

    def __init__(self, num_classes: int, width: int, std: float):
        super().__init__(num_classes + 1, width)
        nn.init.normal_(self.weight, std=std)
        with torch.no_grad():
            self.weight[0].zero_()

    def forward(self, label: Tensor) -> Tensor:
        """int64 (B,) -> (B, width)."""
        return super().forward(label - NO_LABEL)  # a label beyond the classes is an error, never another's row


class BlockTable(nn.Module):
    """A vector for each class and block, looked up in one go: what most fusions are made of.

    Args:
        width: Numbers for each block.
        std: As in `LabelEmbedding`.
    """

    def __init__(self, shape: FusionShape, width: int, std: float):
        super().__init__()
        self.blocks = shape.blocks
        self.table = LabelEmbedding(shape.num_classes, len(shape.blocks) * width, std)

    def forward(self, condition: Condition) -> Features:
        """Site -> (B, width, 1, 1)."""
        vectors = self.table(condition.label)[..., None, None].chunk(len(self.blocks), dim=1)
        return dict(zip(self.blocks, vectors, strict=True))
