"""A network that receives an image row by row and pixel by pixel, and computes each position once.

The vertical stack advances by one row, the horizontal stack by one pixel, and a resolution of 1/2^r at every 2^r-th row
and pixel. These are the stacks of van den Oord et al. (2016) with the caches of Le Paine et al. (2016),
https://arxiv.org/abs/1611.09482, which Ramachandran et al. (2017), https://arxiv.org/abs/1704.06001, applied to images.
Blocks, conditioning and output are those of the network itself.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.inference.cached.layers import PixelConv, PixelUpsample, PointConv, RowConv, RunningEvidence
from pixelbayes.inference.folding import folded
from pixelbayes.models.conditioning import Features, Site
from pixelbayes.models.pixelcnn import RESOLUTIONS, BlockPair, PixelCNN, Resample, pairs


class FeatureMaps:
    """Label features at the current position: vectors unchanged, maps cropped to the current row and pixel.

    Args:
        columns: The current column at each resolution, int64 (1,), shared with the layers.
    """

    def __init__(self, columns: list[Tensor]):
        self.columns = columns
        self.of_image: Features = {}
        self.of_row: Features = {}
        self.maps: list[Site] = []

    def begin(self, features: Features) -> None:
        """Replaces the features; they are of whole images, as from `Fusion.prepare`."""
        if self.of_image.keys() != features.keys():
            self.of_row = {site: feature[:, :, :1].clone() for site, feature in features.items()}
            self.maps = [site for site, feature in features.items() if feature.shape[2:] != (1, 1)]
        self.of_image = features
        for site, feature in features.items():
            self.of_row[site].copy_(feature[:, :, :1])

    def begin_row(self, row: int) -> None:
        for site in self.maps:
            self.of_row[site].copy_(self.of_image[site][:, :, row >> site.resolution, None])

    def of_pixel(self) -> Features:
        cut = {site: self.of_row[site].index_select(3, self.columns[site.resolution]) for site in self.maps}
        return self.of_row | cut


def resample(module: nn.Module) -> Resample:
    return cast(Resample, module)


def exchange(module: nn.Module, **layers: nn.Module) -> None:
    """Replaces submodules by name."""
    for name, layer in layers.items():
        setattr(module, name, layer)


class CachedPair:
    """One block per stack; the vertical one runs by rows, the horizontal one by pixels.

    Args:
        network: The network, which conditions the blocks.
        pair: The blocks; their convolutions are replaced.
        batch, width, column: As in `PixelConv`.
    """

    def __init__(self, network: PixelCNN, pair: BlockPair, batch: int, width: int, column: Tensor):
        self.conditioning = network.conditioning
        self.vertical_site, self.horizontal_site = pair.vertical_site, pair.horizontal_site
        self.vertical, self.horizontal = pair.vertical, pair.horizontal
        self.column = column
        above, here = pair.vertical, pair.horizontal
        self.row = above.conv_in.bias.new_zeros(batch, network.config.num_filters, 1, width)  # of the vertical stack
        exchange(above, conv_in=RowConv(above.conv_in), conv_out=RowConv(above.conv_out))
        self.conv_in = PixelConv(here.conv_in, batch, width, column)
        self.conv_out = PixelConv(here.conv_out, batch, width, column)
        assert here.conv_shortcut is not None  # every horizontal block has the vertical stack as its short-cut
        exchange(here, conv_in=self.conv_in, conv_out=self.conv_out, conv_shortcut=PointConv(here.conv_shortcut))

    def run_row(self, h: Tensor, features: Features, skip: Tensor | None = None) -> Tensor:
        h = self.vertical(h, skip, self.conditioning(features, self.vertical_site))
        self.row.copy_(h)
        self.conv_in.begin_row()
        self.conv_out.begin_row()
        return h

    def run_pixel(self, h: Tensor, features: Features, skip: Tensor | None = None) -> Tensor:
        vertical = self.row.index_select(3, self.column)
        shortcut = vertical if skip is None else torch.cat((vertical, skip), dim=1)
        output: Tensor = self.horizontal(h, shortcut, self.conditioning(features, self.horizontal_site))
        return output


class CachedLevel:
    """One resolution of the U and, inside it, the lower resolutions, which advance at every second row and pixel."""

    def __init__(self, network: PixelCNN, resolution: int, batch: int, width: int, columns: list[Tensor]):
        column = columns[resolution]
        self.down, self.up = (
            [CachedPair(network, pair, batch, width, column) for pair in pairs(path[resolution])]
            for path in (network.down, network.up)
        )
        self.inner: CachedLevel | None = None
        if resolution < RESOLUTIONS - 1:
            downsample, upsample = resample(network.downsample[resolution]), resample(network.upsample[resolution])
            self.inner = CachedLevel(network, resolution + 1, batch, width // 2, columns)
            self.downsample_row = RowConv(downsample.vertical)
            self.downsample_pixel = PixelConv(downsample.horizontal, batch, width, column)
            exchange(downsample, vertical=self.downsample_row, horizontal=self.downsample_pixel)
            self.upsample_row = upsample.vertical
            self.upsample_pixel = PixelUpsample(upsample.horizontal, batch, width, column)

    def run_row(self, h: Tensor, features: Features, row: int) -> Tensor:
        """The vertical stack at a row of this resolution, (B, F, 1, w) -> same."""
        skips = [h]
        for pair in self.down:
            h = pair.run_row(h, features)
            skips.append(h)
        if self.inner is None:
            skips.pop()
        else:
            if row % 2 == 0:
                self.downsample_pixel.begin_row()
                self.upsampled = self.upsample_row(self.inner.run_row(self.downsample_row(h), features, row // 2))
            else:
                self.downsample_row.push(h)
            self.upsample_pixel.begin_row(row % 2)
            h = self.upsampled[:, :, row % 2, None]
        for pair in self.up:
            h = pair.run_row(h, features, skips.pop())
        return h

    def run_pixel(self, h: Tensor, features: Features, depth: int) -> Tensor:
        """The horizontal stack at a pixel of this resolution, (B, F, 1, 1) -> same.

        `depth` is the number of lower resolutions that advance at this pixel.
        """
        skips = [h]
        for pair in self.down:
            h = pair.run_pixel(h, features)
            skips.append(h)
        if self.inner is None:
            skips.pop()
        else:
            if depth > 0:
                self.upsample_pixel.push(self.inner.run_pixel(self.downsample_pixel(h), features, depth - 1))
            else:
                self.downsample_pixel.push(h)
            h = self.upsample_pixel()
        for pair in self.up:
            h = pair.run_pixel(h, features, skips.pop())
        return h


class CachedNetwork:
    """Computes the parameters of a pixel's distribution from the pixels before it.

    For each row call `begin_row`, then for each of its pixels `params` and `push`. The arithmetic is that of the
    network, and nothing is computed twice. Memory grows with the batch and the width of the image, not with its height.

    Args:
        network: The network. It is copied, and its weight normalisation is folded.
        batch: B.
    """

    def __init__(self, network: PixelCNN, batch: int):
        self.network = network = folded(network)
        weight = network.stem_left.bias
        multiple = 2 ** (RESOLUTIONS - 1)
        self.padding = -network.config.image_shape.width % multiple
        width = network.config.image_shape.width + self.padding
        self.columns = [torch.zeros(1, dtype=torch.long, device=weight.device) for _ in range(RESOLUTIONS)]
        self.features = FeatureMaps(self.columns)
        self.stem_vertical, self.stem_above = RowConv(network.stem_vertical), RowConv(network.stem_above)
        self.stem_left = PixelConv(network.stem_left, batch, width, self.columns[0])
        exchange(network, stem_vertical=self.stem_vertical, stem_above=self.stem_above, stem_left=self.stem_left)
        exchange(network, to_params=PointConv(network.to_params))
        if network.evidence is not None:
            exchange(network, evidence=RunningEvidence(network.evidence, batch))
        self.level = CachedLevel(network, 0, batch, width, self.columns)
        filters = network.config.num_filters
        self.above = weight.new_zeros(batch, filters, 1, width)  # the stem's output for the row above
        self.left = weight.new_zeros(batch, filters, 1, 1)  # and for the pixel to the left

    def begin(self, features: Features) -> None:
        """Begins new images with features from `Fusion.prepare`."""
        self.features.begin(features)
        self.move(0)
        self.above.zero_()
        for module in self.network.modules():
            if isinstance(module, RowConv | PixelConv | RunningEvidence):
                module.reset()

    def begin_row(self, row: int, before: Tensor) -> None:
        """Runs the vertical stack.

        Args:
            row: Rows come in order, from 0.
            before: The row above, (B, C, 1, W), in [-1, 1]; ignored for row 0.
        """
        network, features = self.network, self.features.of_row
        if row == 0:
            vertical = torch.zeros_like(self.above)
        else:
            # `features` still are those of the row above
            padded = F.pad(network.stem_input(before, features), (0, self.padding))
            vertical = self.stem_vertical(padded)
            self.above.copy_(self.stem_above(padded))
        self.left.zero_()
        self.stem_left.begin_row()
        self.features.begin_row(row)
        self.level.run_row(network.condition_stem(vertical, features, 0), features, row)

    def move(self, column: int) -> None:
        """Moves to a column of the row; columns come in order."""
        for resolution, at in enumerate(self.columns):
            at.fill_(column >> resolution)

    def params(self, depth: int) -> Tensor:
        """Parameters of the current pixel's distribution, (B, P, 1, 1); `depth` as in `CachedLevel.run_pixel`."""
        network, features = self.network, self.features.of_pixel()
        h = self.above.index_select(3, self.columns[0]) + self.left
        h = self.level.run_pixel(network.condition_stem(h, features, 1), features, depth)
        return network.head(h, network.pool_evidence(h), features)

    def push(self, x: Tensor) -> None:
        """Receives the value of the current pixel, (B, C, 1, 1), in [-1, 1]."""
        self.left.copy_(self.stem_left(self.network.stem_input(x, self.features.of_pixel())))
