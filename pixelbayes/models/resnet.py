"""A residual network that classifies images: the dedicated classifier that a generative classifier is compared with."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError

LARGE = 48  # from this many pixels on the shorter side, the stem halves the image


@documented
@dataclass(frozen=True, kw_only=True)
class ResNetArchitecture:
    """The choices that define the network, apart from what follows from the data."""

    widths: tuple[int, ...] = (32, 64, 128)
    """channels of each stage; each stage after the first halves height and width"""
    blocks: tuple[int, ...] = (1, 2, 3)
    """residual blocks of each stage"""

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.blocks):
            raise InputError(f"widths are {self.widths} and blocks {self.blocks}, expected a number for each stage")
        if min(self.widths) < 1 or min(self.blocks) < 1:
            raise InputError(f"widths are {self.widths} and blocks {self.blocks}, expected 1 or more for each stage")


@documented
@dataclass(frozen=True, kw_only=True)
class ResNetConfig(ResNetArchitecture):
    """Everything that determines a network."""

    num_classes: int
    """Y; labels are 0 .. Y-1"""
    image_shape: ImageShape
    """height, width, channels and levels of the images"""


def normalised(channels: int) -> nn.Module:
    """Batch normalisation and ReLU. On small data sets it trains faster and better than group normalisation."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


class Block(nn.Module):
    """h + conv(relu(norm(conv(relu(norm(h)))))): He et al. (2016), Identity mappings in deep residual networks.

    The last convolution is initialised to zero, so the block starts as its short-cut. Where the size halves, the
    short-cut averages four positions instead of taking one of them (He et al., 2019, Bag of tricks, ResNet-D).
    """

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        nn.init.zeros_(last.weight)
        self.residual = nn.Sequential(
            normalised(channels_in),
            nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False),
            normalised(channels),
            last,
        )
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))
        if channels != channels_in:
            self.shortcut.append(nn.Conv2d(channels_in, channels, 1, bias=False))

    def forward(self, h: Tensor) -> Tensor:
        residual: Tensor = self.residual(h)
        shortcut: Tensor = self.shortcut(h)
        return shortcut + residual


class ResNet(nn.Module):
    """Maps images to the logits of p(c | x): a stem, stages of residual blocks, global average pooling, a linear layer.

    Args:
        config: The architecture, and the classes and shape of the images.
    """

    def __init__(self, config: ResNetConfig):
        super().__init__()
        self.config = config
        stride = 2 if min(config.image_shape.size) >= LARGE else 1
        width = config.widths[0]
        self.stem = nn.Conv2d(config.image_shape.channels, width, 3, stride, padding=1, bias=False)
        self.stages = nn.Sequential()
        for stage, (channels, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
            for block in range(blocks):
                self.stages.append(Block(width, channels, stride=2 if stage and not block else 1))
                width = channels
        self.last = normalised(width)
        self.to_logits = nn.Linear(width, config.num_classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU

    @property
    def num_features(self) -> int:
        """Number of inputs of the last layer."""
        return self.config.widths[-1]

    def embed(self, x: Tensor) -> Tensor:
        """Features of images x (B, C, H, W) in [-1, 1], the input of the last layer: (B, `num_features`)."""
        h = self.stem(x.contiguous(memory_format=torch.channels_last))  # (B, widths[0], H, W)
        h = self.last(self.stages(h))  # (B, widths[-1], h, w)
        return torch.mean(h, dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B, Y), of images x (B, C, H, W) in [-1, 1]."""
        logits: Tensor = self.to_logits(self.embed(x))
        return logits
