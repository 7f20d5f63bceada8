"""The interface of a fusion: how a condition becomes features, and where it changes the network."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pixelbayes.images.shape import ImageShape
from pixelbayes.models.conditioning import ConditioningPoint, Features, Site

Mlp = Literal["none", "one-hot", "embedding"]
"""Optional MLP on the label: none, on the one-hot label, or on an embedding of it."""

NO_LABEL = -1
"""The label of an image without a label."""


@dataclass(frozen=True)
class Condition:
    """The condition of each image in a batch.

    Args:
        label: int64 (B,), 0 .. Y-1, or NO_LABEL.
        view: int64 (B,), the view of each image (`pixelbayes.images.views`). A network with
            `condition_on_augmentation` adds the number of views for augmented images. None means view 0.
        labels_per_image: Y where `inference.all_classes` scores every image under Y labels. `label` then has B Y rows,
            those of an image adjacent.
    """

    label: Tensor
    view: Tensor | None = None
    labels_per_image: int = 1

    @classmethod
    def of(cls, condition: "Condition | Tensor | None", batch: int, device: torch.device) -> "Condition":
        """Converts labels (B,), or None for no label, to a condition.

        Raises:
            ValueError: If there is not one integer label per image.
        """
        if condition is None:
            return cls(torch.full((batch,), NO_LABEL, device=device))
        condition = condition if isinstance(condition, Condition) else cls(condition)
        rows = batch * condition.labels_per_image
        if condition.label.shape != (rows,) or condition.label.is_floating_point():
            label = condition.label
            raise ValueError(f"label has shape {tuple(label.shape)} and {label.dtype}, expected ({rows},) integers")
        if condition.view is not None and condition.view.shape != (batch,):
            raise ValueError(f"view has shape {tuple(condition.view.shape)}, expected ({batch},)")
        return condition


@dataclass(frozen=True, kw_only=True)
class FusionShape:
    """The properties of the network that determine the sizes of a fusion's weights."""

    num_classes: int
    """Y"""
    image_shape: ImageShape
    """height, width, channels and levels of the images"""
    num_filters: int
    """F"""
    blocks: tuple[Site, ...]
    """the site of every GatedResNet, in the order of the computation"""
    weight_norm: bool = True
    """whether convolutions are weight-normalised"""
    evidence_channels: int = 0
    """R, channels of the pooled evidence, the last ones at HEAD"""
    appended_channels: int = 0
    """channels at HEAD that other fusions append at OUTPUT"""

    def shortcut_filters(self, site: Site) -> int:
        """Channels of a block's short-cut; 0 in the vertical stack of the down path, which has none."""
        return self.num_filters * ((site.path == "up") + (site.stack == "horizontal"))

    @property
    def head_channels(self) -> int:
        """Channels at HEAD."""
        return self.num_filters + self.appended_channels + self.evidence_channels


class Fusion(nn.Module):
    """A way to condition the network on the label.

    `prepare` converts a condition to features, once per image. The network then calls `apply_at` at every
    `ConditioningPoint`. `apply_at` must be pointwise: its output at a position may depend on h and on the features at
    that position only. This keeps every fusion causal, and lets the cached sampler call `apply_at` on a single row or
    pixel. The caller crops the features to the positions of h.
    """

    input_channels: int = 0
    """channels that `apply_at` appends to the image at INPUT"""
    output_channels: int = 0
    """channels that `apply_at` appends at OUTPUT"""
    head_channels: int = 0
    """channels that `apply_at` returns at HEAD; 0 if it does not act there"""
    is_late: ClassVar[bool] = False
    """whether it acts at OUTPUT and HEAD only, so that the blocks and the pooled evidence do not depend on the label"""

    def __init__(self, shape: FusionShape):
        super().__init__()

    def prepare(self, condition: Condition) -> Features:
        """Features of the condition for each site that needs any."""
        return {}

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        """Conditions h at one point of one site; returns h itself where the fusion does not act."""
        return h

    def class_vectors(self, num_classes: int) -> Tensor | None:
        """All features of each class, concatenated, (Y, D); None if the fusion has none.

        The cosine similarity of two rows measures how similarly the network treats two classes.
        """
        device = next((weight.device for weight in self.parameters()), torch.device("cpu"))
        features = self.prepare(Condition(torch.arange(num_classes, device=device)))
        return torch.cat([part.flatten(1) for part in features.values()], dim=1).float() if features else None

    def statistics(self) -> dict[str, float]:
        """Named numbers to log during training."""
        return {}


class NoFusion(Fusion):
    """Ignores the label: an unconditional network."""

    is_late = True


class LabelEmbedding(nn.Embedding):
    """An embedding with a first row for NO_LABEL, initialised to zero, and then one row per class.

    Args:
        num_classes: Y; may be 0.
        width: Numbers per row.
        std: Initial standard deviation of the class rows; 0 initialises them to zero.
    """

    def __init__(self, num_classes: int, width: int, std: float):
        super().__init__(num_classes + 1, width)
        nn.init.normal_(self.weight, std=std)
        with torch.no_grad():
            self.weight[0].zero_()

    def forward(self, label: Tensor) -> Tensor:
        """int64 (B,) -> (B, width)."""
        return super().forward(label - NO_LABEL)  # a label that is out of range raises IndexError


class LabelVectors(nn.Module):
    """A vector per class and for NO_LABEL: an embedding, optionally followed by an MLP.

    Args:
        num_classes: Y; may be 0.
        width: Numbers per vector.
        std: Initial standard deviation of the last weights; 0 initialises all vectors to zero.
        mlp: "none"; "one-hot", a two-layer MLP on the one-hot label; "embedding", the same on an embedding.
        hidden: Width of the embedding and of the MLP.
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
        vectors: Tensor = self.mlp(self.embedding(label))
        return vectors[..., None, None]


class SiteVectors(nn.Module):
    """A vector per class and site, all computed in one step. Most fusions are built on it.

    Args:
        widths: Numbers per vector, by site.
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
    """A fusion with a vector per class and site; the subclass decides in `apply_at` where and how it acts.

    Args:
        shape: The network around the fusion.
        widths: Numbers per vector, by site; sites with 0 are left out.
        std: Initial standard deviation of the vectors; 0 initialises them to zero.
        mlp: As in `LabelVectors`.
    """

    def __init__(self, shape: FusionShape, widths: dict[Site, int], std: float, mlp: Mlp):
        super().__init__(shape)
        self.vectors = SiteVectors({site: n for site, n in widths.items() if n}, shape.num_classes, std, mlp)

    def prepare(self, condition: Condition) -> Features:
        features: Features = self.vectors(condition)
        return features


def add(h: Tensor, feature: Tensor) -> Tensor:
    """Adds a vector (B, n, 1, 1) or a map to the first n channels; channels that a fusion appended are unchanged."""
    first, appended = h.tensor_split([feature.shape[1]], dim=1)
    return torch.cat((first + feature, appended), dim=1) if appended.shape[1] else first + feature


def append(h: Tensor, feature: Tensor) -> Tensor:
    """Concatenates a map, or a vector (B, n, 1, 1) repeated at every position, to the channels of h."""
    return torch.cat((h, feature.expand(-1, -1, *h.shape[2:])), dim=1)
