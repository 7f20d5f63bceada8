"""A network that is fed an image row by row and pixel by pixel: the paper's figure 2, each position computed once.

The vertical stack moves a row at a time, the horizontal stack a pixel at a time, and a resolution of 1/2^r at every
2^r-th row and pixel: van den Oord et al.'s stacks with the caches of Le Paine et al. (2016),
https://arxiv.org/abs/1611.09482, carried over to images by Ramachandran et al. (2017),
https://arxiv.org/abs/1704.06001. Blocks, doors and output are the network's own.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.inference.cached.layers import PixelConv, PixelGrow, PointConv, RowConv
from pixelbayes.inference.folding import folded
from pixelbayes.models.fusion.base import STEM, Features, Site
from pixelbayes.models.pixelcnn import RESOLUTIONS, BlockPair, PixelCNN, Resample, pairs


class FeatureMaps:
    """Label features where the network stands: vectors as they are, maps cut to its row and pixel.

    Args:
        columns: For each resolution int64 (1,), shared: the column at which the network stands.
    """

    def __init__(self, columns: list[Tensor]):
        self.columns = columns
        self.of_image: Features = {}
        self.of_row: Features = {}
        self.maps: list[Site] = []

    def begin(self, features: Features) -> None:
        """Takes features of whole images, as from `Fusion.prepare`, for those before them."""
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
    """Puts layers in the place of those of the same names."""
    for name, layer in layers.items():
        setattr(module, name, layer)


class CachedPair:
    """A block of each stack, the vertical one by rows and the horizontal one by pixels.

    Args:
        network: Whose doors they have.
        pair: The blocks; their convolutions are exchanged.
        batch, width, column: As in `PixelConv`.
    """

    def __init__(self, network: PixelCNN, pair: BlockPair, batch: int, width: int, column: Tensor):
        self.doors = network.doors
        self.vertical_site, self.horizontal_site = pair.vertical_site, pair.horizontal_site
        self.vertical, self.horizontal = pair.vertical, pair.horizontal
        self.column = column
        above, here = pair.vertical, pair.horizontal
        self.row = above.conv_in.bias.new_zeros(batch, network.config.num_filters, 1, width)  # of the vertical stack
        exchange(above, conv_in=RowConv(above.conv_in), conv_out=RowConv(above.conv_out))
        self.conv_in = PixelConv(here.conv_in, batch, width, column)
        self.conv_out = PixelConv(here.conv_out, batch, width, column)
        assert here.conv_shortcut is not None  # every horizontal block reads the vertical stack
        exchange(here, conv_in=self.conv_in, conv_out=self.conv_out, conv_shortcut=PointConv(here.conv_shortcut))

    def run_row(self, h: Tensor, features: Features, kept: Tensor | None = None) -> Tensor:
        h = self.vertical(h, kept, self.doors(features, self.vertical_site))
        self.row.copy_(h)
        self.conv_in.begin_row()
        self.conv_out.begin_row()
        return h

    def run_pixel(self, h: Tensor, features: Features, kept: Tensor | None = None) -> Tensor:
        vertical = self.row.index_select(3, self.column)
        beside = vertical if kept is None else torch.cat((vertical, kept), dim=1)
        return self.horizontal(h, beside, self.doors(features, self.horizontal_site))


class CachedLevel:
    """One resolution of the U, and within it all lower ones, which stand at every second row and pixel of it."""

    def __init__(self, network: PixelCNN, resolution: int, batch: int, width: int, columns: list[Tensor]):
        column = columns[resolution]
        self.down, self.up = (
            [CachedPair(network, pair, batch, width, column) for pair in pairs(path[resolution])]
            for path in (network.down, network.up)
        )
        self.inner: CachedLevel | None = None
        if resolution < RESOLUTIONS - 1:
            shrink, grow = resample(network.shrink[resolution]), resample(network.grow[resolution])
            self.inner = CachedLevel(network, resolution + 1, batch, width // 2, columns)
            self.shrink_row = RowConv(shrink.vertical)
            self.shrink_pixel = PixelConv(shrink.horizontal, batch, width, column)
            exchange(shrink, vertical=self.shrink_row, horizontal=self.shrink_pixel)
            self.grow_row = grow.vertical
            self.grow_pixel = PixelGrow(grow.horizontal, batch, width, column)

    def run_row(self, h: Tensor, features: Features, row: int) -> Tensor:
        """The vertical stack at a row of this resolution, (B, F, 1, w) -> same."""
        kept = [h]
        for pair in self.down:
            h = pair.run_row(h, features)
            kept.append(h)
        if self.inner is None:
            kept.pop()
        else:
            if row % 2 == 0:
                self.shrink_pixel.begin_row()
                self.grown = self.grow_row(self.inner.run_row(self.shrink_row(h), features, row // 2))
            else:
                self.shrink_row.push(h)
            self.grow_pixel.begin_row(row % 2)
            h = self.grown[:, :, row % 2, None]
        for pair in self.up:
            h = pair.run_row(h, features, kept.pop())
        return h

    def run_pixel(self, h: Tensor, features: Features, depth: int) -> Tensor:
        """The horizontal stack at a pixel of this resolution, (B, F, 1, 1) -> same; `depth` lower ones stand there."""
        kept = [h]
        for pair in self.down:
            h = pair.run_pixel(h, features)
            kept.append(h)
        if self.inner is None:
            kept.pop()
        else:
            if depth > 0:
                self.grow_pixel.push(self.inner.run_pixel(self.shrink_pixel(h), features, depth - 1))
            else:
                self.shrink_pixel.push(h)
            h = self.grow_pixel()
        for pair in self.up:
            h = pair.run_pixel(h, features, kept.pop())
        return h


class CachedNetwork:
    """Gives the parameters of a pixel's distribution from the pixels it was fed before it.

    Begin a row, then for each of its pixels ask for `params` and `push` the value. The arithmetic is that of the
    network; what a pixel does not change is not computed again. Memory grows with the batch and the image's width, not
    with its height.

    Args:
        network: The network; it is copied, its weights folded.
        batch: B.
    """

    def __init__(self, network: PixelCNN, batch: int):
        self.network = network = folded(network)
        weight = network.stem_left.bias
        multiple = 2 ** (RESOLUTIONS - 1)
        self.padding = -network.config.image_size[1] % multiple
        width = network.config.image_size[1] + self.padding
        self.columns = [torch.zeros(1, dtype=torch.long, device=weight.device) for _ in range(RESOLUTIONS)]
        self.features = FeatureMaps(self.columns)
        self.stem_vertical, self.stem_above = RowConv(network.stem_vertical), RowConv(network.stem_above)
        self.stem_left = PixelConv(network.stem_left, batch, width, self.columns[0])
        exchange(network, stem_vertical=self.stem_vertical, stem_above=self.stem_above, stem_left=self.stem_left)
        exchange(network, to_params=PointConv(network.to_params))
        self.level = CachedLevel(network, 0, batch, width, self.columns)
        filters = network.config.num_filters
        self.above = weight.new_zeros(batch, filters, 1, width)  # the stem's answer to the row above
        self.left = weight.new_zeros(batch, filters, 1, 1)  # and to the pixel to the left

    def begin(self, features: Features) -> None:
        """Begins new images; features as from `Fusion.prepare`."""
        self.features.begin(features)
        self.move(0)
        self.above.zero_()
        for module in self.network.modules():
            if isinstance(module, RowConv | PixelConv):
                module.reset()

    def begin_row(self, row: int, before: Tensor) -> None:
        """Runs the vertical stack.

        Args:
            row: Rows come in order, from 0.
            before: The row above this one, (B, C, 1, W), in [-1, 1]; of row 0 not read.
        """
        network, features = self.network, self.features.of_row
        if row == 0:
            vertical = torch.zeros_like(self.above)
        else:
            seen = F.pad(network.read(before, features), (0, self.padding))  # with features of the row above still
            vertical = self.stem_vertical(seen)
            self.above.copy_(self.stem_above(seen))
        self.left.zero_()
        self.stem_left.begin_row()
        self.features.begin_row(row)
        self.level.run_row(network.fusion.at_stem(vertical, features, STEM[0]), features, row)

    def move(self, column: int) -> None:
        """Goes to a column of the row; columns come in order."""
        for resolution, at in enumerate(self.columns):
            at.fill_(column >> resolution)

    def params(self, depth: int) -> Tensor:
        """Parameters of the distribution of the pixel at hand, (B, P, 1, 1); `depth` lower resolutions stand there."""
        network, features = self.network, self.features.of_pixel()
        h = self.above.index_select(3, self.columns[0]) + self.left
        h = self.level.run_pixel(network.fusion.at_stem(h, features, STEM[1]), features, depth)
        return network.head(h, features)

    def push(self, x: Tensor) -> None:
        """Takes in the pixel at hand, (B, C, 1, 1), in [-1, 1]."""
        self.left.copy_(self.stem_left(self.network.read(x, self.features.of_pixel())))
