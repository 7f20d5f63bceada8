"""Doors: the places where a condition may enter the network, each the identity until a fusion overrides it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Mlp = Literal["none", "one-hot", "embedding"]  # what a class embedding is passed through

NO_LABEL = -1  # the value of a label that is not told


@dataclass(frozen=True)
class Condition:
    """What the network is told about each image.

    Args:
        label: int64 (B,), 0 .. Y-1, or NO_LABEL.
        view: int64 (B,), how each image was turned (`pixelbayes.images.views`), and changed, for a network that is told of
            it; None for all as they are.
    """

    label: Tensor
    view: Tensor | None = None

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
        if condition.view is not None and condition.view.shape != (batch,):
            raise ValueError(f"view has shape {tuple(condition.view.shape)}, expected ({batch},)")
        return condition


class Site(NamedTuple):
    """A place in the network, as a fusion may need to know it."""

    path: Literal["input", "stem", "down", "up", "output"]  # down: contracting half, up: expanding half of the U
    stack: Literal["vertical", "horizontal", "both"]
    resolution: int  # height and width are those of the image / 2^resolution
    block: int  # counted among those of its path, stack and resolution
    part: int = 0  # of a composition: which of its fusions the features are for

    @property
    def name(self) -> str:
        """For modules kept by site."""
        return "_".join(map(str, self[:4]))


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

    def shortcut_filters(self, site: Site) -> int:
        """Channels of a block's short-cut: 0 for the vertical stack on the way down, which has none."""
        return self.num_filters * ((site.path == "up") + (site.stack == "horizontal"))


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

    def class_vectors(self, num_classes: int) -> Tensor | None:
        """All that each class brings into the network, one after another, (Y, D); None if nothing does.

        Cosines between these rows tell how alike the classes are to the network.
        """
        device = next((weight.device for weight in self.parameters()), torch.device("cpu"))
        features = self.prepare(Condition(torch.arange(num_classes, device=device)))
        return torch.cat([part.flatten(1) for part in features.values()], dim=1).float() if features else None

    def statistics(self) -> dict[str, float]:
        """Figures worth following in training, by name."""
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

    def before_branch(self, h: Tensor, features: Features, site: Site) -> Tensor:
        """What a block's convolutions read, its residual connection not, (B, F, h, w) -> same."""
        return h

    def at_shortcut(self, h: Tensor, features: Features, site: Site) -> Tensor:
        """What a block's short-cut reads, (B, shortcut_filters, h, w) -> same."""
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


# every door by name, in the order in which features pass them
DOORS = (
    "at_input",
    "at_stem",
    "before_block",
    "before_branch",
    "at_shortcut",
    "before_gate",
    "scale_residual",
    "after_block",
    "at_output",
)


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


class LabelVectors(nn.Module):
    """A vector for each class and for NO_LABEL: an embedding, by choice passed through an MLP.

    Args:
        num_classes: Y; may be 0.
        width: Numbers in a vector.
        std: Standard deviation of the vectors' last weights at the start; 0 starts all vectors at zero.
        mlp: "none"; "one-hot", an MLP of two layers on the one-hot label; "embedding", the same on an embedding.
        hidden: Width of embedding and MLP.
    """

    def __init__(self, num_classes: int, width: int, std: float, mlp: Mlp = "none", hidden: int = 64):
        super().__init__()
        self.embedding = LabelEmbedding(num_classes, width if mlp == "none" else hidden, std if mlp == "none" else 1.0)
        layers: list[nn.Module] = []
        if mlp == "embedding":
            layers.append(nn.Linear(hidden, hidden))
        if mlp != "none":
            last = nn.Linear(hidden, width)
            nn.init.normal_(last.weight, std=std / hidden**0.5)
            nn.init.zeros_(last.bias)
            layers += [nn.SiLU(), last]
        self.mlp = nn.Sequential(*layers)

    def forward(self, label: Tensor) -> Tensor:
        """int64 (B,) -> (B, width, 1, 1)."""
        return self.mlp(self.embedding(label))[..., None, None]


class SiteVectors(nn.Module):
    """A vector for each class and site, all made in one go: what most fusions are made of.

    Args:
        widths: Numbers for each site.
        num_classes, std, mlp: As in `LabelVectors`.
    """

    def __init__(self, widths: dict[Site, int], num_classes: int, std: float, mlp: Mlp = "none"):
        super().__init__()
        self.widths = widths
        self.by_label = LabelVectors(num_classes, sum(widths.values()), std, mlp)

    def forward(self, condition: Condition) -> Features:
        """Site -> (B, width, 1, 1)."""
        parts = self.by_label(condition.label).split(list(self.widths.values()), dim=1)
        return dict(zip(self.widths, parts, strict=True))


class VectorFusion(Fusion):
    """A vector for each class and site, made by `SiteVectors`; the subclass says at which door it acts, and how.

    Args:
        shape: The network around it.
        widths: Numbers for each site; sites with 0 are left out.
        std: Standard deviation of the vectors at the start; 0 starts them all at zero.
        mlp: As in `LabelVectors`.
    """

    def __init__(self, shape: FusionShape, widths: dict[Site, int], std: float, mlp: Mlp):
        super().__init__(shape)
        self.vectors = SiteVectors({site: n for site, n in widths.items() if n}, shape.num_classes, std, mlp)

    def prepare(self, condition: Condition) -> Features:
        return self.vectors(condition)


def add(h: Tensor, feature: Tensor) -> Tensor:
    """Adds a vector (B, n, 1, 1) or a map to the first n channels; what another fusion has appended to them stays."""
    first, appended = h.tensor_split([feature.shape[1]], dim=1)
    return torch.cat((first + feature, appended), dim=1)


def append(h: Tensor, feature: Tensor) -> Tensor:
    """Concatenates a vector (B, n, 1, 1), the same at every position, or a map to the channels of h."""
    return torch.cat((h, feature.expand(-1, -1, *h.shape[2:])), dim=1)
