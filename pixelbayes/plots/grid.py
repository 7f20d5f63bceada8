"""Images in a grid, such as samples with one row per class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from pixelbayes.plots.layout import fit_figure
from pixelbayes.plots.style import INK, styled, to_rgb

TILE = 128  # desired size of a tile in image pixels; 64 CSS pixels
GAP = 8  # white between tiles


@styled
def image_grid(
    pixels: Tensor, levels: int, row_labels: Sequence[str] = (), column_labels: Sequence[str] = ()
) -> Figure:
    """Images in rows and columns. Every image pixel becomes a square of one colour.

    Args:
        pixels: uint8 (R, N, C, H, W), 0 .. levels-1, C 1 or 3: R rows of N images.
        levels: Number of values a colour can take.
        row_labels: R names to the left of the rows, or none.
        column_labels: N titles above the columns, or none.

    Raises:
        ValueError: If the numbers of labels and images differ.
    """
    rows, columns, _, height, width = pixels.shape
    for kind, labels, count in (("row", row_labels, rows), ("column", column_labels, columns)):
        if len(labels) not in (0, count):
            raise ValueError(f"{len(labels)} {kind} labels for {count} {kind}s of images")
    zoom = max(1, round(TILE / max(height, width)))
    mosaic = _mosaic(to_rgb(pixels, levels).repeat(zoom, axis=2).repeat(zoom, axis=3))
    figure = Figure()
    axes = figure.add_subplot()
    axes.imshow(mosaic, interpolation="none", aspect="auto")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK, labeltop=True, labelbottom=False)
    axes.set_yticks(_centres(len(row_labels), height * zoom), row_labels)
    axes.set_xticks(_centres(len(column_labels), width * zoom), column_labels)
    fit_figure(figure, axes, mosaic.shape[1], mosaic.shape[0])
    return figure


def _mosaic(tiles: NDArray[Any]) -> NDArray[Any]:
    """Joins tiles, (R, N, h, w, 3), into one image with white gaps."""
    rows, columns, height, width, colours = tiles.shape
    mosaic = np.full((rows, height + GAP, columns, width + GAP, colours), 255, np.uint8)
    mosaic[:, :height, :, :width] = tiles.swapaxes(1, 2)
    return mosaic.reshape(rows * (height + GAP), columns * (width + GAP), colours)[:-GAP, :-GAP]


def _centres(count: int, size: int) -> list[float]:
    return [i * (size + GAP) + (size - 1) / 2 for i in range(count)]
