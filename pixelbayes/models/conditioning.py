"""Where a condition can enter the network: the vocabulary that layers and fusions share."""

from collections.abc import Callable
from enum import Enum
from typing import Literal, NamedTuple

from torch import Tensor


class ConditioningPoint(Enum):
    """A step of the network at which a fusion may change the features, in the order of the computation.

    The value states what passes there. Shapes stay, except that INPUT and OUTPUT may append channels, and HEAD may
    return any number of them.
    """

    INPUT = "the image, (B, C, H, W), before the ones channel and the padding"
    STEM = "the output of a stack's first convolutions, (B, F, H, W)"
    BEFORE_BLOCK = "the input of a block and of its residual connection, (B, F, h, w)"
    BEFORE_BRANCH = "the input of a block's convolutions, not of its residual connection, (B, F, h, w)"
    SHORTCUT = "the input of a block's short-cut, (B, shortcut_filters, h, w)"
    BEFORE_GATE = "the input of a block's gate, (B, 2F, h, w): F channels of values, then F of gates"
    RESIDUAL = "the residual that a block is about to add, (B, F, h, w)"
    AFTER_BLOCK = "the output of a block, (B, F, h, w)"
    OUTPUT = "the output of the last block, before its ELU, (B, F, H, W)"
    HEAD = "the input of the last layer: OUTPUT after its ELU, then the pooled evidence, (B, F + R, H, W)"


class Site(NamedTuple):
    """A position in the network: a block, the input, a stem or the output."""

    path: Literal["input", "stem", "down", "up", "output", "head"]
    """down is the contracting half of the U, up the expanding half"""
    stack: Literal["vertical", "horizontal", "both"]
    """the stack of the block or stem"""
    resolution: int
    """r: height and width are those of the image divided by 2^r"""
    block: int
    """index among the blocks of the same path, stack and resolution"""
    part: int = 0
    """index of a fusion within a composition"""

    @property
    def name(self) -> str:
        """A name for a submodule that belongs to this site."""
        return "_".join(map(str, self[:4]))


INPUT_SITE = Site("input", "both", 0, 0)
STEM_SITES = (Site("stem", "vertical", 0, 0), Site("stem", "horizontal", 0, 0))
OUTPUT_SITE = Site("output", "horizontal", 0, 0)
HEAD_SITE = Site("head", "horizontal", 0, 0)

Features = dict[Site, Tensor]
"""Label features by site: vectors (B, n, 1, 1), or maps (B, n, h, w) of the size of the site."""

Conditioning = Callable[[ConditioningPoint, Tensor], Tensor]
"""A fusion bound to the features and the site of one block: (point, h) -> h."""


def unconditioned(point: ConditioningPoint, h: Tensor) -> Tensor:
    """The identity at every point."""
    return h
