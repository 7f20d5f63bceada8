"""Class-conditional PixelCNN++: the paper's figure 2, read top to bottom.

Salimans, Karpathy, Chen and Kingma (2017), PixelCNN++, https://arxiv.org/abs/1701.05517.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.images.views import COUNTS
from pixelbayes.models.context_dropout import context_mask
from pixelbayes.models.fusion import Condition, FusionShape, ViewFiLM, fusion_maker
from pixelbayes.models.fusion.base import INPUT, OUTPUT, STEM, Features, Site
from pixelbayes.models.layers import (
    Conv2d,
    Doors,
    DownRightShiftedConv2d,
    DownRightShiftedTransposedConv2d,
    DownShiftedConv2d,
    DownShiftedTransposedConv2d,
    GatedResNet,
    down_shift,
    right_shift,
)
from pixelbayes.models.likelihood import LIKELIHOODS, Likelihood
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import Key

Stacks = tuple[Tensor, Tensor]  # features of the vertical and of the horizontal stack, (B, F, h, w) each

RESOLUTIONS = 3  # the image's own, a half and a quarter of it
VERTICAL_KERNEL = (2, 3)
HORIZONTAL_KERNEL = (2, 2)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What one chooses of a network; the rest follows from the data."""

    fusion: tuple[str, ...] | str = "film"  # how the label enters: a key of FUSIONS, or several, which compose
    num_filters: int = 40  # F, width of both stacks
    num_blocks: int = 1  # GatedResNets per stack and resolution; on the way up one more where sizes have doubled
    likelihood: Literal["logistics", "categorical"] = "logistics"  # a mixture of logistics, a softmax over levels
    num_mixtures: int = 5  # K, logistics per pixel
    dropout: float = 0.5  # probability of dropping an activation
    context_dropout: float = 0.0  # probability of hiding a patch of the image, in training, from what must tell it
    context_patch: int = 1  # side of those patches, in pixels
    normalise: bool = False  # the network reads x less the training images' mean, over their deviation, by channel
    views: int = 1  # ways an image may be turned that the network is told of: 1, 2, 4, or, if it is square, 8
    tell_changed: bool = False  # the network is told whether an image was augmented, so that clean ones stay sharp
    weight_norm: bool = True  # weights as gain times direction, set from the first batch; blamed by some for NaNs

    def __post_init__(self) -> None:
        fusion_maker(self.fusion)  # says what is wrong with it
        if self.likelihood not in LIKELIHOODS:
            raise InputError(f"likelihood is {self.likelihood!r}, expected one of: {', '.join(LIKELIHOODS)}")
        for name in ("num_filters", "num_blocks", "num_mixtures", "context_patch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("dropout", "context_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected a probability of at least 0 and below 1")
        if self.views not in COUNTS:
            raise InputError(f"views is {self.views}, expected one of {', '.join(map(str, COUNTS))}")

    @property
    def tellings(self) -> int:
        """What the network may be told of an image besides its class: a view, twice as many if it may be changed."""
        return self.views * (1 + self.tell_changed)


@dataclass(frozen=True, kw_only=True)
class PixelCNNConfig(Architecture):
    """Everything that shapes a network."""

    num_classes: int  # Y; labels are 0 .. Y-1; 0 for a network without labels
    channels: int = 3  # C, 1 or 3
    levels: int = 256  # L, values a colour can take, 2 to 256
    image_size: tuple[int, int] = (32, 32)  # H, W: what whole-image fusions and sampling need to know
    mean: tuple[float, ...] = (0.0,)  # of x, for each channel or for all: the network reads (x - mean) / std;
    std: tuple[float, ...] = (1.0,)  # the likelihood does not change

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_classes < 0:
            raise InputError(f"num_classes is {self.num_classes}, expected 0 or more")
        if self.channels not in (1, 3):
            raise InputError(f"channels is {self.channels}, expected 1 (grey) or 3 (colour)")
        if not 2 <= self.levels <= 256:
            raise InputError(f"levels is {self.levels}, expected 2 to 256")
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise InputError(f"image_size is {tuple(self.image_size)}, expected a height and a width of at least 1")
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, self.channels):
                raise InputError(f"{name} has {len(getattr(self, name))} numbers, expected 1 or {self.channels}")
        if self.views > 4 and self.image_size[0] != self.image_size[1]:
            raise InputError(f"views is {self.views}, expected at most 4 of images that are not square")
        if min(self.std) <= 0:
            raise InputError(f"std is {tuple(self.std)}, expected numbers above 0")

    @property
    def dims(self) -> int:
        """Numbers in an image, C H W."""
        return self.channels * self.image_size[0] * self.image_size[1]


class BlockPair(nn.Module):
    """A GatedResNet of each stack; the horizontal one reads the vertical, so that a pixel sees all rows above."""

    def __init__(self, config: Architecture, site: Site):
        super().__init__()
        self.vertical_site = site
        self.horizontal_site = site._replace(stack="horizontal")
        rising = site.path == "up"  # on the way up both stacks also read what the way down has kept
        width = config.num_filters
        block = partial(GatedResNet, num_filters=width, dropout=config.dropout, weight_norm=config.weight_norm)
        self.vertical = block(DownShiftedConv2d, VERTICAL_KERNEL, shortcut_channels=width if rising else 0)
        self.horizontal = block(
            DownRightShiftedConv2d, HORIZONTAL_KERNEL, shortcut_channels=2 * width if rising else width
        )


class Resample(nn.Module):
    """A convolution of each stack that halves or doubles height and width."""

    def __init__(self, config: Architecture, vertical: type[Conv2d], horizontal: type[Conv2d]):
        super().__init__()
        width, norm = config.num_filters, config.weight_norm
        self.vertical = vertical(width, width, VERTICAL_KERNEL, stride=2, weight_norm=norm)
        self.horizontal = horizontal(width, width, HORIZONTAL_KERNEL, stride=2, weight_norm=norm)

    def forward(self, stacks: Stacks) -> Stacks:
        return self.vertical(stacks[0]), self.horizontal(stacks[1])


class PixelCNN(nn.Module):
    """Maps an image and a condition to the parameters of each pixel's distribution given the pixels before it.

    Before means raster order: rows from the top, each from the left. The network takes images of any height and width,
    unless its fusion is tied to one.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: PixelCNNConfig):
        super().__init__()
        self.config = config
        width, norm = config.num_filters, config.weight_norm

        # as the authors: n blocks at each resolution on the way down; n, n+1, n+1 on the way up, as what is kept asks
        n = config.num_blocks
        down = [[Site("down", "vertical", r, i) for i in range(n)] for r in range(RESOLUTIONS)]
        up = [[Site("up", "vertical", r, i) for i in range(n + (r < RESOLUTIONS - 1))] for r in range(RESOLUTIONS)]
        shape = FusionShape(
            num_classes=config.num_classes,
            channels=config.channels,
            image_size=config.image_size,
            num_filters=width,
            blocks=tuple(
                site._replace(stack=stack)
                for sites in (*down, *reversed(up))
                for site in sites
                for stack in ("vertical", "horizontal")
            ),
        )
        told = (partial(ViewFiLM, views=config.tellings),) if config.tellings > 1 else ()
        self.fusion = fusion_maker(config.fusion, *told)(shape)
        self.register_buffer("mean", torch.tensor(config.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(-1, 1, 1), persistent=False)

        channels = config.channels + self.fusion.input_channels + 1
        self.stem_vertical = DownShiftedConv2d(channels, width, VERTICAL_KERNEL, weight_norm=norm)
        self.stem_above = DownShiftedConv2d(channels, width, (1, 3), weight_norm=norm)
        self.stem_left = DownRightShiftedConv2d(channels, width, (2, 1), weight_norm=norm)
        self.down = nn.ModuleList(nn.ModuleList(BlockPair(config, site) for site in sites) for sites in down)
        self.up = nn.ModuleList(nn.ModuleList(BlockPair(config, site) for site in sites) for sites in up)
        self.shrink = nn.ModuleList(
            Resample(config, DownShiftedConv2d, DownRightShiftedConv2d) for _ in range(RESOLUTIONS - 1)
        )
        self.grow = nn.ModuleList(
            Resample(config, DownShiftedTransposedConv2d, DownRightShiftedTransposedConv2d)
            for _ in range(RESOLUTIONS - 1)
        )
        num_params = LIKELIHOODS[config.likelihood].num_params(config.channels, config.levels, config.num_mixtures)
        self.to_params = Conv2d(width + self.fusion.output_channels, num_params, weight_norm=norm)

    def forward(
        self,
        x: Tensor,
        condition: Condition | Tensor | None = None,
        key: Key | None = None,
        shown: Tensor | None = None,
    ) -> Tensor:
        """Parameters of every pixel's distribution.

        Args:
            x: Images, (B, C, H, W), on their levels in [-1, 1].
            condition: Labels, int64 (B,); or a Condition; None for no label.
            key: Randomness of dropout, a stream for each image; None switches dropout off.
            shown: Where the network may look, 1 there and 0 elsewhere, (B, 1, H, W); what is not given context dropout
                draws by the key, and without a key it may look everywhere.

        Returns:
            `params`, (B, P, H, W); those at a pixel depend on the pixels before it alone.
        """
        height, width = x.shape[-2:]
        features = self.fusion.prepare(Condition.of(condition, len(x), x.device))
        if torch.is_autocast_enabled(x.device.type):  # else what a feature touches would be float32 from there on
            half = torch.get_autocast_dtype(x.device.type)
            features = {site: feature.to(half) for site, feature in features.items()}

        if shown is None and key is not None and self.config.context_dropout:
            shown = context_mask(key, self.config.context_dropout, self.config.context_patch, height, width)
        stacks = self.stem(x, features, shown)
        kept = [stacks]
        for resolution in range(RESOLUTIONS):
            for pair in pairs(self.down[resolution]):
                stacks = self.run_pair(pair, stacks, features, key)
                kept.append(stacks)
            if resolution < RESOLUTIONS - 1:
                stacks = self.shrink[resolution](stacks)
                kept.append(stacks)

        kept.pop()
        for resolution in reversed(range(RESOLUTIONS)):
            for pair in pairs(self.up[resolution]):
                stacks = self.run_pair(pair, stacks, features, key, kept.pop())
            if resolution > 0:
                stacks = self.grow[resolution - 1](stacks)

        return self.head(stacks[1], features)[:, :, :height, :width]

    def stem(self, x: Tensor, features: Features, shown: Tensor | None = None) -> Stacks:
        """The way in: padding, and the first convolutions, shifted."""
        height, width = x.shape[-2:]
        multiple = 2 ** (RESOLUTIONS - 1)
        x = F.pad(self.read(x, features, shown), (0, -width % multiple, 0, -height % multiple))
        x = x.contiguous(memory_format=torch.channels_last)
        vertical = down_shift(self.stem_vertical(x))  # the rows above
        above = down_shift(self.stem_above(x))  # the row above
        horizontal = above + right_shift(self.stem_left(x))  # and the pixel to the left
        return self.fusion.at_stem(vertical, features, STEM[0]), self.fusion.at_stem(horizontal, features, STEM[1])

    def read(self, x: Tensor, features: Features, shown: Tensor | None = None) -> Tensor:
        """What the first convolutions see of an image, where it is shown: affine map, input door, ones channel."""
        x = self.fusion.at_input((x - self.mean) / self.std, features, INPUT)
        ones = x.new_ones(len(x), 1, *x.shape[2:])  # tells black pixels from padding
        seen = torch.cat((x, ones), dim=1)
        return seen if shown is None else seen * shown.to(seen)  # hidden pixels look like those outside of the image

    def head(self, h: Tensor, features: Features) -> Tensor:
        """The way out: output door and last layer, (B, F, H, W) -> (B, P, H, W)."""
        h = F.elu(self.fusion.at_output(h, features, OUTPUT))
        return self.to_params(h.contiguous())  # the likelihood takes parameters one by one, so each as a map

    def run_pair(
        self, pair: BlockPair, stacks: Stacks, features: Features, key: Key | None, kept: Stacks | None = None
    ) -> Stacks:
        """One block of each stack; `kept` are the short-cuts from the way down."""
        vertical = pair.vertical(
            stacks[0], kept and kept[0], self.doors(features, pair.vertical_site), fold(key, pair.vertical_site)
        )
        beside = vertical if kept is None else torch.cat((vertical, kept[1]), dim=1)
        horizontal = pair.horizontal(
            stacks[1], beside, self.doors(features, pair.horizontal_site), fold(key, pair.horizontal_site)
        )
        return vertical, horizontal

    def doors(self, features: Features, site: Site) -> Doors:
        """The fusion's doors at a block, as functions of the features that pass there."""
        return Doors(*(partial(getattr(self.fusion, door), features=features, site=site) for door in Doors._fields))

    def likelihood(self, params: Tensor) -> Likelihood:
        kind: Any = LIKELIHOODS[self.config.likelihood]  # each takes params, channels and levels
        likelihood: Likelihood = kind(params, self.config.channels, self.config.levels)
        return likelihood

    def log_prob(
        self,
        x: Tensor,
        condition: Condition | Tensor | None = None,
        key: Key | None = None,
        shown: Tensor | None = None,
    ) -> Tensor:
        """log p(x | condition) of whole images, (B,), in nats; arguments as in `forward`."""
        return self.pixel_log_prob(x, condition, key, shown).sum(dim=(1, 2))

    def pixel_log_prob(
        self,
        x: Tensor,
        condition: Condition | Tensor | None = None,
        key: Key | None = None,
        shown: Tensor | None = None,
    ) -> Tensor:
        """log p(x_i | x_<i, condition) of every pixel given those before it, (B, H, W), in nats."""
        return self.likelihood(self(x, condition, key, shown)).log_prob(x)


def pairs(level: nn.Module) -> Iterable[BlockPair]:
    """The blocks of one resolution, in the order in which they run."""
    return cast(Iterable[BlockPair], level)


def fold(key: Key | None, site: Site) -> Key | None:
    """The block's own stream of the key."""
    if key is None:
        return None
    word = 0
    for part in (site.path == "up", site.stack == "horizontal", site.resolution, site.block):
        word = word * 1000 + int(part)
    return key.fold(word)
