"""All classes in one pass: the batch grows from B images to B Y rows where a label first acts, and not before.

What no label reaches is computed once for an image. Of the network nothing is asked but what it promises anyway: a row
depends on its own image and label alone, and a label enters at the fusion's doors.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pixelbayes.models.fusion import NO_LABEL, Condition, Fusion
from pixelbayes.models.fusion.base import DOORS, Features, Site
from pixelbayes.models.pixelcnn import PixelCNN

READING_WEIGHTS = {F.conv2d, F.conv_transpose2d, F.linear}  # their weights have no batch


@torch.no_grad()
def log_prob_of_classes(network: PixelCNN, x: Tensor, told: Tensor, shown: Tensor | None = None) -> Tensor:
    """log p(x | c) of every image under each of these classes and in the view named beside it, (B, Y), in nats.

    Args:
        network: As `growing` makes it.
        x: Images, (B, C, H, W); the network reads them in its own precision, the likelihood as they are.
        told: int64 (Y, 2): labels, and the view that `x` is in.
        shown: Where the network may look, (B, 1, H, W); None for everywhere.
    """
    images, count = len(x), len(told)
    condition = EveryClass(torch.full((images,), NO_LABEL, device=x.device), told=told)
    with Growing(images, count):
        read = x.to(network.to_params.bias.dtype)
        params = network(read, condition, shown=shown)  # of B Y rows; of B if no label has acted
    log_prob = network.likelihood(params).log_prob(grow(x, len(params))).sum(dim=(1, 2))
    return log_prob.view(images, -1).expand(images, count)


def growing(network: PixelCNN) -> PixelCNN:
    """The network, around a fusion that lets the batch grow; the weights are the same."""
    probe = Probe(network.fusion)
    weight = network.to_params.bias
    x = weight.new_zeros(1, network.config.channels, *network.config.image_size)
    with torch.no_grad():
        _around(network, probe)(x, torch.zeros(1, dtype=torch.long, device=x.device))
    return _around(network, GrowingFusion(network.fusion, frozenset(probe.acting)))


def _around(network: PixelCNN, fusion: Fusion) -> PixelCNN:
    """The same network around another fusion."""
    other = copy.copy(network)
    other._modules = {**network._modules, "fusion": fusion}
    return other


@dataclass(frozen=True, kw_only=True)
class EveryClass(Condition):
    """Each image is told each of these in turn.

    Args:
        told: Label and view, int64 (Y, 2).
    """

    told: Tensor


class Growing(TorchFunctionMode):
    """Where B images meet B Y rows, a row for each class side by side, the images are repeated to rows.

    Without it two such tensors could not meet at all, so nothing else changes.
    """

    def __init__(self, images: int, classes: int):
        super().__init__()
        self.images = images
        self.rows = images * classes

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if args and func not in READING_WEIGHTS:
            listed = isinstance(args[0], tuple | list)  # as in torch.cat
            met = args[0] if listed else args
            if any(self.has(part, self.rows) for part in met):
                met = tuple(grow(part, self.rows) if self.has(part, self.images) else part for part in met)
                args = (met, *args[1:]) if listed else met
        return func(*args, **(kwargs or {}))

    @staticmethod
    def has(part: object, batch: int) -> bool:
        return isinstance(part, Tensor) and part.ndim == 4 and len(part) == batch


def grow(h: Tensor, rows: int) -> Tensor:
    """(B, ...) -> (B Y, ...), each image Y times; what has grown stays."""
    return h if len(h) == rows else h.repeat_interleave(rows // len(h), dim=0)


class Wrapped(Fusion):
    """A fusion seen through `pass_door`, which all its doors go by; its weights are its own."""

    def __init__(self, fusion: Fusion):
        nn.Module.__init__(self)
        self.fusion = fusion
        self.input_channels, self.output_channels = fusion.input_channels, fusion.output_channels

    def prepare(self, condition: Condition) -> Features:
        return self.fusion.prepare(condition)

    def pass_door(self, door: str, h: Tensor, features: Features, site: Site) -> Tensor:
        passed: Tensor = getattr(self.fusion, door)(h, features, site)
        return passed


class Probe(Wrapped):
    """Notes where a fusion acts: at which doors, and where in the network, something else comes out than goes in."""

    def __init__(self, fusion: Fusion):
        super().__init__(fusion)
        self.acting: set[tuple[str, Site]] = set()

    def pass_door(self, door: str, h: Tensor, features: Features, site: Site) -> Tensor:
        passed = super().pass_door(door, h, features, site)
        if passed is not h:
            self.acting.add((door, site))
        return passed


class GrowingFusion(Wrapped):
    """A fusion that prepares each class once, and at the doors where it acts lets the batch grow.

    Args:
        fusion: The fusion.
        acting: Doors and sites at which it acts.
    """

    def __init__(self, fusion: Fusion, acting: frozenset[tuple[str, Site]]):
        super().__init__(fusion)
        self.acting = acting

    def prepare(self, condition: Condition) -> Features:
        assert isinstance(condition, EveryClass)
        features = super().prepare(Condition(*condition.told.unbind(1)))  # (Y, n, h, w)
        return {site: of_class.repeat(len(condition.label), 1, 1, 1) for site, of_class in features.items()}

    def pass_door(self, door: str, h: Tensor, features: Features, site: Site) -> Tensor:
        if (door, site) not in self.acting:
            return h
        rows = len(next(iter(features.values())))
        return super().pass_door(door, grow(h, rows), features, site)


def _through(door: str) -> Callable[[Wrapped, Tensor, Features, Site], Tensor]:
    def act(self: Wrapped, h: Tensor, features: Features, site: Site) -> Tensor:
        return self.pass_door(door, h, features, site)

    return act


for _door in DOORS:
    setattr(Wrapped, _door, _through(_door))
