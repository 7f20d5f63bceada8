"""Scores all classes in one pass: the batch expands from B images to B Y rows where the label first has an effect.

Everything that does not depend on the label is computed once per image. This uses only two properties of the network: a
row of the batch depends on its own image and label, and the label enters through `Fusion.apply_at`.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pixelbayes.models.conditioning import ConditioningPoint, Features, Site
from pixelbayes.models.fusion import NO_LABEL, Condition, Fusion
from pixelbayes.models.pixelcnn import PixelCNN

WITH_WEIGHTS = {F.conv2d, F.conv_transpose2d, F.linear}  # their weight arguments have no batch dimension


@torch.no_grad()
def log_prob_of_classes(network: PixelCNN, x: Tensor, conditions: Tensor, visible: Tensor | None = None) -> Tensor:
    """log p(x | c) of every image under each condition, (B, Y), in nats.

    Args:
        network: A network made by `expand_over_classes`.
        x: Images, (B, C, H, W). The network computes in its own precision, the likelihood in that of x.
        conditions: int64 (Y, 2): labels, and the view that `x` is in.
        visible: Mask of the network's input, (B, 1, H, W); None for all visible.
    """
    images, count = len(x), len(conditions)
    condition = EveryCondition(torch.full((images,), NO_LABEL, device=x.device), conditions=conditions)
    with ExpandOverClasses(images, count):
        params = network(x.to(network.to_params.bias.dtype), condition, visible=visible)
    # params has B Y rows, or B if the network ignores labels
    log_prob = network.likelihood(params).log_prob(expand(x, len(params))).sum(dim=(1, 2))
    return log_prob.view(images, -1).expand(images, count)


def expand_over_classes(network: PixelCNN) -> PixelCNN:
    """The network with a fusion that expands the batch where it acts. The weights are shared."""
    probe = ProbeFusion(network.fusion)
    x = network.to_params.bias.new_zeros(1, *network.config.image_shape.chw)
    with torch.no_grad():
        _with_fusion(network, probe)(x, torch.zeros(1, dtype=torch.long, device=x.device))
    return _with_fusion(network, ExpandingFusion(network.fusion, frozenset(probe.acting)))


def _with_fusion(network: PixelCNN, fusion: Fusion) -> PixelCNN:
    """A shallow copy of the network with another fusion; all other modules are shared."""
    other = copy.copy(network)
    other._modules = {**network._modules, "fusion": fusion}
    return other


@dataclass(frozen=True, kw_only=True)
class EveryCondition(Condition):
    """Several conditions for each image.

    Args:
        conditions: Label and view, int64 (Y, 2).
    """

    conditions: Tensor


class ExpandOverClasses(TorchFunctionMode):
    """Expands B images to B Y rows, Y adjacent rows per image, where an operation combines both.

    Without this mode such an operation would fail, so nothing else changes.
    """

    def __init__(self, images: int, classes: int):
        super().__init__()
        self.images = images
        self.rows = images * classes

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if args and func not in WITH_WEIGHTS:
            is_list = isinstance(args[0], tuple | list)  # as in torch.cat
            operands = args[0] if is_list else args
            if any(self.has_batch(part, self.rows) for part in operands):
                operands = tuple(
                    expand(part, self.rows) if self.has_batch(part, self.images) else part for part in operands
                )
                args = (operands, *args[1:]) if is_list else operands
        return func(*args, **(kwargs or {}))

    @staticmethod
    def has_batch(part: object, batch: int) -> bool:
        return isinstance(part, Tensor) and part.ndim == 4 and len(part) == batch


def expand(h: Tensor, rows: int) -> Tensor:
    """(B, ...) -> (B Y, ...), each image repeated Y times; a tensor that has B Y rows already is returned unchanged."""
    return h if len(h) == rows else h.repeat_interleave(rows // len(h), dim=0)


class WrappedFusion(Fusion):
    """A fusion around another one, whose weights it shares."""

    def __init__(self, fusion: Fusion):
        nn.Module.__init__(self)
        self.fusion = fusion
        self.input_channels, self.output_channels = fusion.input_channels, fusion.output_channels

    def prepare(self, condition: Condition) -> Features:
        return self.fusion.prepare(condition)


class ProbeFusion(WrappedFusion):
    """Records where a fusion acts: the points and sites at which it returns something other than its input."""

    def __init__(self, fusion: Fusion):
        super().__init__(fusion)
        self.acting: set[tuple[ConditioningPoint, Site]] = set()

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        conditioned = self.fusion.apply_at(point, h, features, site)
        if conditioned is not h:
            self.acting.add((point, site))
        return conditioned


class ExpandingFusion(WrappedFusion):
    """Prepares the features of each class once, and expands the batch where the fusion acts.

    Args:
        fusion: The fusion.
        acting: Points and sites at which it acts.
    """

    def __init__(self, fusion: Fusion, acting: frozenset[tuple[ConditioningPoint, Site]]):
        super().__init__(fusion)
        self.acting = acting

    def prepare(self, condition: Condition) -> Features:
        assert isinstance(condition, EveryCondition)
        features = super().prepare(Condition(*condition.conditions.unbind(1)))  # (Y, n, h, w)
        return {site: of_class.repeat(len(condition.label), 1, 1, 1) for site, of_class in features.items()}

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        if (point, site) not in self.acting:
            return h
        rows = len(next(iter(features.values())))
        return self.fusion.apply_at(point, expand(h, rows), features, site)
