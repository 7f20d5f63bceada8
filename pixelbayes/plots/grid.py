"""Rows of images, a row for each class."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.plots.layout import fit
from pixelbayes.plots.style import INK, styled, to_rgb

TILE = 128  # image pixels that a tile should take: 64 CSS pixels
GAP = 8  # white between tiles


@styled
def image_grid(
    pixels: Tensor, levels: int, row_labels: Sequence[str] = (), column_labels: Sequence[str] = ()
) -> Figure:
    """Images in rows, every pixel a square of one colour, the name of the class at the left of its row.

    Args:
        pixels: uint8 (R, N, C, H, W), 0 .. levels-1, C 1 or 3: R rows of N images.
        levels: Number of values a colour can take.
        row_labels: R names, or none.
        column_labels: N titles, or none.
    """
    rows, columns, _, height, width = pixels.shape
    for kind, labels, count in (("row", row_labels, rows), ("column", column_labels, columns)):
        if len(labels) not in (0, count):
            raise ValueError(f"{len(labels)} {kind} labels for {count} {kind}s of images")
    zoom = max(1, round(TILE / max(height, width)))
    sheet = _sheet(to_rgb(pixels, levels).repeat(zoom, axis=2).repeat(zoom, axis=3))
    figure = Figure()
    axes = figure.add_subplot()
    axes.imshow(sheet, interpolation="none", aspect="auto")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK, labeltop=True, labelbottom=False)
    axes.set_yticks(_middles(len(row_labels), height * zoom), row_labels)
    axes.set_xticks(_middles(len(column_labels), width * zoom), column_labels)
    fit(figure, axes, sheet.shape[1], sheet.shape[0])
    return figure


def _sheet(tiles: np.ndarray) -> np.ndarray:
    """Tiles (R, N, h, w, 3) side by side on one white sheet, `GAP` apart."""
    rows, columns, height, width, colours = tiles.shape
    sheet = np.full((rows, height + GAP, columns, width + GAP, colours), 255, np.uint8)
    sheet[:, :height, :, :width] = tiles.swapaxes(1, 2)
    return sheet.reshape(rows * (height + GAP), columns * (width + GAP), colours)[:-GAP, :-GAP]


def _middles(count: int, size: int) -> list[float]:
    return [i * (size + GAP) + (size - 1) / 2 for i in range(count)]
