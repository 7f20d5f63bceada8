"""A residual network that names the class of an image: what a generative classifier is measured against."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pixelbayes.utils.errors import InputError

LARGE = 48  # pixels of the shorter side, from which on the stem halves the image


@dataclass(frozen=True, kw_only=True)
class ResNetArchitecture:
    """What one chooses of the network."""

    widths: tuple[int, ...] = (32, 64, 128)  # channels of each stage; each after the first halves height and width
    blocks: tuple[int, ...] = (1, 2, 3)  # residual blocks of each stage

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.blocks):
            raise InputError(f"widths are {self.widths} and blocks {self.blocks}, expected a number for each stage")
        if min(self.widths) < 1 or min(self.blocks) < 1:
            raise InputError(f"widths are {self.widths} and blocks {self.blocks}, expected 1 or more for each stage")


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(ResNetArchitecture):
    """The network whole: the choices, and what the data decide."""

    num_classes: int  # Y; labels are 0 .. Y-1
    channels: int = 3  # C
    levels: int = 256  # values a colour can take
    image_size: tuple[int, int] = (32, 32)  # H, W


def normalised(channels: int) -> nn.Module:
    """ReLU of batch normalisation, with which so few images are learnt faster and better than with group norm."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())


class Block(nn.Module):
    """h + conv(relu(norm(conv(relu(norm(h)))))): He et al. (2016), Identity mappings in deep residual networks.

    The last convolution starts at zero, and so the block as its short-cut. Where the size halves, the short-cut takes
    the mean of four positions rather than one of them (He et al., 2019, Bag of tricks, ResNet-D).
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
        return self.shortcut(h) + self.residual(h)


class ResNet(nn.Module):
    """Images to the logits of p(c | x): a stem, stages of residual blocks, the mean over positions, a linear layer.

    Args:
        config: Shape of the network and of its images.
    """

    def __init__(self, config: ResNetConfig):
        super().__init__()
        self.config = config
        stride = 2 if min(config.image_size) >= LARGE else 1
        width = config.widths[0]
        self.stem = nn.Conv2d(config.channels, width, 3, stride, padding=1, bias=False)
        self.stages = nn.Sequential()
        for stage, (channels, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
            for block in range(blocks):
                self.stages.append(Block(width, channels, stride=2 if stage and not block else 1))
                width = channels
        self.last = normalised(width)
        self.to_logits = nn.Linear(width, config.num_classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU

    def embed(self, x: Tensor) -> Tensor:
        """Features of images x (B, C, H, W) in [-1, 1]: what the last layer reads, (B, `widths[-1]`)."""
        h = self.stem(x.contiguous(memory_format=torch.channels_last))  # (B, widths[0], H, W)
        return self.last(self.stages(h)).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B, Y), of images x (B, C, H, W) in [-1, 1]."""
        return self.to_logits(self.embed(x))
