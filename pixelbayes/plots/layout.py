"""Axes whose size is a whole number of image pixels, so that every pixel of a shown image has the same size."""

from collections.abc import Sequence
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

MARGIN = 16  # image pixels of white around a figure


def fit_figure(figure: Figure, axes: Axes, width: int, height: int) -> None:
    """Gives the axes exactly `width` x `height` image pixels, and the figure enough room for ticks and titles."""
    _place(figure, axes, width, height, 0, 0, 0, 0)
    inner = axes.get_window_extent()
    outer = axes.get_tightbbox() or inner
    edges = inner.x0 - outer.x0, inner.y0 - outer.y0, outer.x1 - inner.x1, outer.y1 - inner.y1
    left, bottom, right, top = (max(0, ceil(edge)) + MARGIN for edge in edges)
    _place(figure, axes, width, height, left, bottom, right, top)


def _place(figure: Figure, axes: Axes, width: int, height: int, left: int, bottom: int, right: int, top: int) -> None:
    total_width, total_height = left + width + right, bottom + height + top
    figure.set_size_inches(total_width / figure.dpi, total_height / figure.dpi)
    axes.set_position((left / total_width, bottom / total_height, width / total_width, height / total_height))


class Sheet:
    """A figure of equal cells, filled row by row. All lengths are in image pixels.

    Args:
        count: Number of cells.
        across: Cells per row.
        width: Width of a cell.
        height: Height of a cell.
        gap: Distance between cells.
        foot: Height of the room below the cells.
    """

    def __init__(self, count: int, across: int, width: int, height: int, gap: int, foot: int = 0) -> None:
        self.across, self.pitch = across, (width + gap, height + gap)
        down = -(-count // across)
        self.width = across * self.pitch[0] - gap + 2 * MARGIN
        self.height = down * self.pitch[1] - gap + 2 * MARGIN + foot
        self.figure = Figure()
        self.figure.set_size_inches(self.width / self.figure.dpi, self.height / self.figure.dpi)

    def axes(self, cell: int, left: int, top: int, width: int, height: int) -> Axes:
        """New axes of this size, `left` and `top` away from the upper left corner of their cell."""
        row, column = divmod(cell, self.across)
        x = MARGIN + column * self.pitch[0] + left
        y = self.height - MARGIN - row * self.pitch[1] - top - height
        return self.figure.add_axes((x / self.width, y / self.height, width / self.width, height / self.height))


def text_width(texts: Sequence[str], **font: Any) -> int:
    """Width of the longest of several texts, in image pixels, drawn with these properties of `Text`."""
    figure = Figure()
    return ceil(max(figure.text(0, 0, text, **font).get_window_extent().width for text in texts))


def shorten_middle(name: str, length: int = 22) -> str:
    """Cuts a name to a length, so that its beginning and its end stay.

    >>> shorten_middle("one-hot-map+film+output-add", length=13)
    'one-ho…ut-add'
    """
    kept = length - 1
    return name if len(name) <= length else f"{name[: (kept + 1) // 2]}…{name[len(name) - kept // 2 :]}"


def shorten(name: str, length: int = 22) -> str:
    """Cuts a name to a length.

    >>> shorten("Siberian tiger", length=8)
    'Siberia…'
    """
    return name if len(name) <= length else f"{name[: length - 1]}…"
