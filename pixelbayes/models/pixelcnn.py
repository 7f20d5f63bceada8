"""Class-conditional PixelCNN++. The network follows figure 2 of the paper from top to bottom.

Salimans, Karpathy, Chen and Kingma (2017), PixelCNN++, https://arxiv.org/abs/1701.05517.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.images.pixels import check_floats
from pixelbayes.images.shape import ImageShape
from pixelbayes.images.views import COUNTS
from pixelbayes.models.conditioning import (
    HEAD_SITE,
    INPUT_SITE,
    OUTPUT_SITE,
    STEM_SITES,
    Conditioning,
    ConditioningPoint,
    Features,
    Site,
)
from pixelbayes.models.context_dropout import context_mask
from pixelbayes.models.fusion import Condition, FusionShape, ViewFiLM, fusion_maker, is_late
from pixelbayes.models.layers import (
    Conv2d,
    DownRightShiftedConv2d,
    DownRightShiftedTransposedConv2d,
    DownShiftedConv2d,
    DownShiftedTransposedConv2d,
    EvidencePooling,
    GatedResNet,
    down_shift,
    right_shift,
)
from pixelbayes.models.likelihood import LIKELIHOODS, Likelihood
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError, check_fields
from pixelbayes.utils.randomness import Key

Stacks = tuple[Tensor, Tensor]
"""Features of the vertical and of the horizontal stack, (B, F, h, w) each."""


class Outputs(NamedTuple):
    """What the network computes from an image and a condition."""

    params: Tensor
    """parameters of every pixel's distribution, (B, P, H, W)"""
    class_logits: Tensor | None
    """logits of the auxiliary head, (B, Y); None if the network has none"""


RESOLUTIONS = 3  # full, half and quarter size
VERTICAL_KERNEL = (2, 3)
HORIZONTAL_KERNEL = (2, 2)


@documented
@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The choices that define a network, apart from what follows from the data."""

    fusion: tuple[str, ...] | str = "film"
    """how the label enters the network: a key of FUSIONS, or several, which are composed"""
    num_filters: int = 40
    """F, width of both stacks"""
    num_blocks: int = 1
    """GatedResNets per stack and resolution; the up path has one more at full and at half size"""
    likelihood: Literal["logistics", "categorical"] = "logistics"
    """a discretised mixture of logistics, or a softmax over the levels"""
    num_mixtures: int = 5
    """K, logistics per pixel"""
    dropout: float = 0.5
    """probability of dropping each activation inside a block"""
    evidence_channels: int = 0
    """channels of the pooled evidence, a causal running mean of features that the last layers read; 0 for none"""
    auxiliary_head: bool | None = None
    """predict the class from the pooled evidence of the whole image too, for an additional training loss; by default
    if there is such evidence and the label enters after it"""
    context_dropout: float = 0.0
    """probability of masking each input patch during training"""
    context_patch: int = 1
    """side of the masked patches, in pixels"""
    normalise: bool = False
    """standardise the input per channel with the training mean and standard deviation"""
    views: int = 1
    """number of flips and rotations the network is conditioned on: 1, 2, 4 or, for square images, 8"""
    condition_on_augmentation: bool = False
    """condition the network on whether an image was augmented, so that it models clean images separately"""
    weight_norm: bool = True
    """weight normalisation with data-dependent initialisation; switch it off if the loss becomes NaN"""

    def __post_init__(self) -> None:
        fusion_maker(self.fusion)  # raises if the name is wrong
        if self.likelihood not in LIKELIHOODS:
            raise InputError(f"likelihood is {self.likelihood!r}, expected one of: {', '.join(LIKELIHOODS)}")
        counts = ("num_filters", "num_blocks", "num_mixtures", "context_patch")
        check_fields(self, counts, lambda n: n >= 1, "at least 1")
        check_fields(self, ("evidence_channels",), lambda n: n >= 0, "0 or more")
        if self.auxiliary_head and not self.evidence_channels:
            raise InputError("auxiliary_head is true, but evidence_channels is 0; set it to 32, for example")
        if self.auxiliary_head and not is_late(self.fusion):
            raise InputError(
                f"auxiliary_head is true, but fusion {self.fusion} shows the label to the layers that the auxiliary "
                "head reads; use class-head, output-add or output-concat, which act after them"
            )
        probabilities = ("dropout", "context_dropout")
        check_fields(self, probabilities, lambda p: 0 <= p < 1, "a probability of at least 0 and below 1")
        check_fields(self, ("views",), COUNTS.__contains__, f"one of {', '.join(map(str, COUNTS))}")

    @property
    def has_auxiliary_head(self) -> bool:
        """Whether the network has an auxiliary head, which `auxiliary_head` may leave open."""
        possible = bool(self.evidence_channels) and is_late(self.fusion)
        return possible if self.auxiliary_head is None else self.auxiliary_head

    @property
    def num_conditions(self) -> int:
        """Number of values of `Condition.view`: the views, twice as many with `condition_on_augmentation`."""
        return self.views * (1 + self.condition_on_augmentation)


@documented
@dataclass(frozen=True, kw_only=True)
class PixelCNNConfig(Architecture):
    """Everything that determines a network."""

    num_classes: int
    """Y; labels are 0 .. Y-1; 0 for a network without labels"""
    image_shape: ImageShape
    """height and width for whole-image fusions and sampling; channels and levels"""
    mean: tuple[float, ...] = (0.0,)
    """mean of x, one number or one per channel; the network's input is (x - mean) / std, the likelihood is of x"""
    std: tuple[float, ...] = (1.0,)
    """standard deviation of x, one number or one per channel"""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, ("num_classes",), lambda n: n >= 0, "0 or more")
        channels = self.image_shape.channels
        expected = "one number" if channels == 1 else f"one number or {channels}"
        check_fields(self, ("mean", "std"), lambda numbers: len(numbers) in (1, channels), expected)
        check_fields(self, ("std",), lambda std: min(std) > 0, "numbers above 0")
        if self.views > 4 and not self.image_shape.is_square:
            raise InputError(f"views is {self.views}, expected at most 4 because the images are not square")


class BlockPair(nn.Module):
    """One GatedResNet per stack. The horizontal block also receives the vertical features, the rows above a pixel."""

    def __init__(self, config: Architecture, site: Site):
        super().__init__()
        self.vertical_site = site
        self.horizontal_site = site._replace(stack="horizontal")
        has_skip = site.path == "up"  # blocks of the up path receive the skip connections of the down path
        width = config.num_filters
        block = partial(GatedResNet, num_filters=width, dropout=config.dropout, weight_norm=config.weight_norm)
        self.vertical = block(DownShiftedConv2d, VERTICAL_KERNEL, shortcut_channels=width if has_skip else 0)
        self.horizontal = block(
            DownRightShiftedConv2d, HORIZONTAL_KERNEL, shortcut_channels=2 * width if has_skip else width
        )


class Resample(nn.Module):
    """One convolution per stack that halves or doubles height and width."""

    def __init__(self, config: Architecture, vertical: type[Conv2d], horizontal: type[Conv2d]):
        super().__init__()
        width, norm = config.num_filters, config.weight_norm
        self.vertical = vertical(width, width, VERTICAL_KERNEL, stride=2, weight_norm=norm)
        self.horizontal = horizontal(width, width, HORIZONTAL_KERNEL, stride=2, weight_norm=norm)

    def forward(self, stacks: Stacks) -> Stacks:
        return self.vertical(stacks[0]), self.horizontal(stacks[1])


class PixelCNN(nn.Module):
    """Maps an image and a condition to the parameters of each pixel's distribution given the pixels before it.

    The pixels are in raster order: rows from top to bottom, each row from left to right. The network takes images of
    any height and width, unless its fusion requires one size.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: PixelCNNConfig):
        super().__init__()
        self.config = config
        width, norm = config.num_filters, config.weight_norm

        # as in the authors' code: n blocks per resolution in the down path; n, n+1, n+1 in the up path, one per skip
        n = config.num_blocks
        down = [[Site("down", "vertical", r, i) for i in range(n)] for r in range(RESOLUTIONS)]
        up = [[Site("up", "vertical", r, i) for i in range(n + (r < RESOLUTIONS - 1))] for r in range(RESOLUTIONS)]
        shape = FusionShape(
            num_classes=config.num_classes,
            image_shape=config.image_shape,
            num_filters=width,
            weight_norm=norm,
            evidence_channels=config.evidence_channels,
            blocks=tuple(
                site._replace(stack=stack)
                for sites in (*down, *reversed(up))
                for site in sites
                for stack in ("vertical", "horizontal")
            ),
        )
        more = (partial(ViewFiLM, num_conditions=config.num_conditions),) if config.num_conditions > 1 else ()
        self.fusion = fusion_maker(config.fusion, *more)(shape)
        self.register_buffer("mean", torch.tensor(config.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(-1, 1, 1), persistent=False)

        channels = config.image_shape.channels + self.fusion.input_channels + 1
        self.stem_vertical = DownShiftedConv2d(channels, width, VERTICAL_KERNEL, weight_norm=norm)
        self.stem_above = DownShiftedConv2d(channels, width, (1, 3), weight_norm=norm)
        self.stem_left = DownRightShiftedConv2d(channels, width, (2, 1), weight_norm=norm)
        self.down = nn.ModuleList(nn.ModuleList(BlockPair(config, site) for site in sites) for sites in down)
        self.up = nn.ModuleList(nn.ModuleList(BlockPair(config, site) for site in sites) for sites in up)
        self.downsample = nn.ModuleList(
            Resample(config, DownShiftedConv2d, DownRightShiftedConv2d) for _ in range(RESOLUTIONS - 1)
        )
        self.upsample = nn.ModuleList(
            Resample(config, DownShiftedTransposedConv2d, DownRightShiftedTransposedConv2d)
            for _ in range(RESOLUTIONS - 1)
        )
        num_params = LIKELIHOODS[config.likelihood].num_params(
            config.image_shape.channels, config.image_shape.levels, config.num_mixtures
        )
        channels = self.fusion.head_channels or width + self.fusion.output_channels + config.evidence_channels
        self.to_params = Conv2d(channels, num_params, weight_norm=norm)
        self.evidence = (
            EvidencePooling(width, config.evidence_channels, weight_norm=norm) if config.evidence_channels else None
        )
        self.auxiliary_head = (
            nn.Linear(config.evidence_channels, config.num_classes)
            if config.has_auxiliary_head and config.num_classes
            else None
        )

    def forward(
        self,
        x: Tensor,
        condition: Condition | Tensor | None = None,
        key: Key | None = None,
        visible: Tensor | None = None,
    ) -> Tensor:
        """Parameters of every pixel's distribution.

        Args:
            x: Images, (B, C, H, W), on their levels in [-1, 1].
            condition: Labels, int64 (B,); or a Condition; None for no label.
            key: Random key of dropout, one stream per image; None disables dropout.
            visible: Mask of the input, (B, 1, H, W): 1 where the network sees the image and 0 elsewhere. If None,
                context dropout draws it from the key; without a key everything is visible.

        Returns:
            `params`, (B, P, H, W); those of a pixel depend only on the pixels before it.
        """
        return self.outputs(x, condition, key, visible).params

    def outputs(
        self,
        x: Tensor,
        condition: Condition | Tensor | None = None,
        key: Key | None = None,
        visible: Tensor | None = None,
    ) -> Outputs:
        """Parameters of every pixel's distribution and logits of the auxiliary head; arguments as in `forward`."""
        height, width = x.shape[-2:]
        features = self.fusion.prepare(Condition.of(condition, len(x), x.device))
        if torch.is_autocast_enabled(x.device.type):
            # otherwise float32 features would raise the precision of everything computed after them
            half = torch.get_autocast_dtype(x.device.type)
            features = {site: feature.to(half) for site, feature in features.items()}

        if visible is None and key is not None and self.config.context_dropout:
            visible = context_mask(key, self.config.context_dropout, self.config.context_patch, height, width)
        stacks = self.stem(x, features, visible)
        skips = [stacks]
        for resolution in range(RESOLUTIONS):
            for pair in pairs(self.down[resolution]):
                stacks = self.run_pair(pair, stacks, features, key)
                skips.append(stacks)
            if resolution < RESOLUTIONS - 1:
                stacks = self.downsample[resolution](stacks)
                skips.append(stacks)

        skips.pop()
        for resolution in reversed(range(RESOLUTIONS)):
            for pair in pairs(self.up[resolution]):
                stacks = self.run_pair(pair, stacks, features, key, skips.pop())
            if resolution > 0:
                stacks = self.upsample[resolution - 1](stacks)

        h = stacks[1][:, :, :height, :width]
        evidence = self.pool_evidence(h)
        logits = None
        if self.auxiliary_head is not None and evidence is not None:
            logits = self.auxiliary_head(evidence[:, :, -1, -1])
        return Outputs(self.head(h, evidence, features), logits)

    def stem(self, x: Tensor, features: Features, visible: Tensor | None = None) -> Stacks:
        """Padding and the first convolutions, shifted so that a pixel does not see itself."""
        height, width = x.shape[-2:]
        multiple = 2 ** (RESOLUTIONS - 1)
        x = F.pad(self.stem_input(x, features, visible), (0, -width % multiple, 0, -height % multiple))
        x = x.contiguous(memory_format=torch.channels_last)
        vertical = down_shift(self.stem_vertical(x))  # the rows above
        above = down_shift(self.stem_above(x))  # the row above
        horizontal = above + right_shift(self.stem_left(x))  # and the pixel to the left
        return self.condition_stem(vertical, features, 0), self.condition_stem(horizontal, features, 1)

    def stem_input(self, x: Tensor, features: Features, visible: Tensor | None = None) -> Tensor:
        """The input of the first convolutions: standardised image, conditioning at INPUT, ones channel, mask."""
        x = self.fusion.apply_at(ConditioningPoint.INPUT, (x - self.mean) / self.std, features, INPUT_SITE)
        ones = x.new_ones(len(x), 1, *x.shape[2:])  # distinguishes black pixels from padding
        padded = torch.cat((x, ones), dim=1)
        return padded if visible is None else padded * visible.to(padded)  # masked pixels look like padding

    def condition_stem(self, h: Tensor, features: Features, stack: int) -> Tensor:
        """Conditioning at STEM of the vertical (0) or the horizontal (1) stack."""
        return self.fusion.apply_at(ConditioningPoint.STEM, h, features, STEM_SITES[stack])

    @property
    def last_layers(self) -> tuple[nn.Module, ...]:
        """The layers that produce outputs, which some optimizers treat differently."""
        return (self.to_params,)

    def pool_evidence(self, h: Tensor) -> Tensor | None:
        """The pooled evidence, (B, F, H, W) -> (B, evidence_channels, H, W); None if the network has none."""
        return None if self.evidence is None else self.evidence(F.elu(h))

    def head(self, h: Tensor, evidence: Tensor | None, features: Features) -> Tensor:
        """Conditioning at OUTPUT and HEAD, and the last layer, (B, F, H, W) -> (B, P, H, W)."""
        h = F.elu(self.fusion.apply_at(ConditioningPoint.OUTPUT, h, features, OUTPUT_SITE))
        if evidence is not None:
            h = torch.cat((h, evidence), dim=1)
        h = self.fusion.apply_at(ConditioningPoint.HEAD, h, features, HEAD_SITE)
        params: Tensor = self.to_params(h.contiguous())  # contiguous, because the likelihood indexes the channels
        return params

    def run_pair(
        self, pair: BlockPair, stacks: Stacks, features: Features, key: Key | None, skips: Stacks | None = None
    ) -> Stacks:
        """One block per stack; `skips` are the features of the down path at the same resolution."""
        vertical = pair.vertical(
            stacks[0],
            None if skips is None else skips[0],
            self.conditioning(features, pair.vertical_site),
            fold(key, pair.vertical_site),
        )
        shortcut = vertical if skips is None else torch.cat((vertical, skips[1]), dim=1)
        horizontal = pair.horizontal(
            stacks[1], shortcut, self.conditioning(features, pair.horizontal_site), fold(key, pair.horizontal_site)
        )
        return vertical, horizontal

    def conditioning(self, features: Features, site: Site) -> Conditioning:
        """The fusion at one block, as a function of the conditioning point and h."""
        return partial(self.fusion.apply_at, features=features, site=site)

    def likelihood(self, params: Tensor) -> Likelihood:
        """The distribution of each pixel with these parameters, (B, P, h, w)."""
        kind: Any = LIKELIHOODS[self.config.likelihood]
        likelihood: Likelihood = kind(params, self.config.image_shape.channels, self.config.image_shape.levels)
        return likelihood

    def log_prob(
        self,
        x: Tensor,
        condition: Condition | Tensor | None = None,
        key: Key | None = None,
        visible: Tensor | None = None,
    ) -> Tensor:
        """log p(x | condition) of whole images, (B,), in nats; arguments as in `forward`."""
        return self.pixel_log_prob(x, condition, key, visible).sum(dim=(1, 2))

    def pixel_log_prob(
        self,
        x: Tensor,
        condition: Condition | Tensor | None = None,
        key: Key | None = None,
        visible: Tensor | None = None,
    ) -> Tensor:
        """log p(x_i | x_<i, condition) of every pixel given those before it, (B, H, W), in nats.

        Raises:
            InputError: If x has an integer type, or another number of channels.
        """
        check_floats(x)
        channels = self.config.image_shape.channels
        if x.ndim != 4 or x.shape[1] != channels:
            raise InputError(f"x has shape {tuple(x.shape)}, expected (B, {channels}, H, W)")
        return self.likelihood(self(x, condition, key, visible)).log_prob(x)


def pairs(level: nn.Module) -> Iterable[BlockPair]:
    """The blocks of one resolution, in the order of the computation."""
    return cast(Iterable[BlockPair], level)


def fold(key: Key | None, site: Site) -> Key | None:
    """A separate key for each block."""
    if key is None:
        return None
    word = 0
    for part in (site.path == "up", site.stack == "horizontal", site.resolution, site.block):
        word = word * 1000 + int(part)
    return key.fold(word)
