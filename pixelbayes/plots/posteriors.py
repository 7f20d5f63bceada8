"""Posteriors of single images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from pixelbayes.data import UNKNOWN_LABEL
from pixelbayes.plots.layout import MARGIN, Sheet, shorten, text_width
from pixelbayes.plots.style import BLUE, INK, PALE, QUIET, SOFT, VERMILLION, styled, to_rgb

MAX_BARS = 5  # bars per image, not counting that of the true class
IMAGE_SIZE, BAR, COLUMN = 144, 272, 120  # image, longest bar and column of numbers; widths in image pixels
TITLE, LINE, GAP = 40, 36, 48  # height of the title and of a bar; distance between cells


@styled
def posteriors(
    pixels: Tensor,
    levels: int,
    posterior: Tensor,
    class_names: Sequence[str],
    labels: Tensor | None = None,
    log_probs: Tensor | None = None,
    is_mean: bool = False,
    label_name: str = "true class",
) -> Figure:
    """Images, each next to bars of p(c | x).

    The true class has a tick mark. The predicted class is blue if it is correct; else it is vermillion, the image has a
    frame, and the title says so. If there are more than MAX_BARS classes, only the most probable ones have a bar, and
    the true one.

    Args:
        pixels: uint8 (N, C, H, W), 0 .. levels-1.
        levels: Number of values a colour can take.
        posterior: p(c | x), (N, Y); rows sum to 1.
        class_names: Y names.
        labels: int64 (N,), -1 where unknown.
        log_probs: log p(x | c) in nats, (N, Y), shown next to the bars; None omits it.
        is_mean: Whether `log_probs` is the mean of the log-probabilities of several passes.
        label_name: What the title of a wrong prediction calls the label.

    Raises:
        ValueError: If the shapes do not fit.
    """
    count, num_classes = posterior.shape
    fits = len(pixels) == count and len(class_names) == num_classes and (labels is None or labels.shape == (count,))
    if count == 0 or not fits or (log_probs is not None and log_probs.shape != posterior.shape):
        raise ValueError(
            f"{len(pixels)} images and {len(class_names)} class names for posterior of shape {tuple(posterior.shape)}, "
            "expected (N, Y) with N > 0; labels (N,) and log_probs (N, Y) likewise"
        )
    rgb = to_rgb(pixels, levels)  # (N, H, W, 3)
    names = [shorten(name) for name in class_names]
    true = [UNKNOWN_LABEL] * count if labels is None else labels.tolist()
    images = [
        _Image(names, p, label, label_name) for p, label in zip(posterior.double().cpu().numpy(), true, strict=True)
    ]

    zoom = max(1, round(IMAGE_SIZE / max(rgb.shape[1:3])))
    height, width = zoom * rgb.shape[1], zoom * rgb.shape[2]
    left = width + text_width([f"✓ {name}" for name in names], size=8) + GAP // 2  # of the bars
    columns = 1 if log_probs is None else 2
    sheet = Sheet(
        count,
        across=1 if count < 4 else 2,
        width=max(left + BAR + columns * COLUMN, text_width([image.title for image in images], weight="bold")),
        height=TITLE + max(height, LINE * max(len(image.classes) for image in images)),
        gap=GAP,
        foot=LINE * (columns - 1),
    )
    for i, image in enumerate(images):
        _draw_image(sheet.axes(i, 0, TITLE, width, height), rgb[i], image)
        bars = sheet.axes(i, left, TITLE, BAR, LINE * len(image.classes))
        _draw_bars(bars, image)
        _write_column(bars, 1, [format_probability(image.p[c]) for c in image.classes], INK)
        if log_probs is not None:
            _write_column(bars, 2, [f"{nats:.1f}" for nats in log_probs[i, image.classes].tolist()], QUIET)
    if log_probs is not None:
        corner = 1 - MARGIN / sheet.width, MARGIN / sheet.height
        name = "mean log p(x | c) of the passes" if is_mean else "log p(x | c)"
        sheet.figure.text(*corner, f"p(c | x)   {name} in nats", color=QUIET, size=8, ha="right")
    return sheet.figure


@dataclass(frozen=True)
class _Image:
    """The posterior of one image, and its text.

    Args:
        names: Y names.
        p: p(c | x), (Y,).
        label: The true class; UNKNOWN_LABEL if unknown.
        label_name: What the title calls it.
    """

    names: Sequence[str]
    p: NDArray[Any]
    label: int
    label_name: str

    @property
    def predicted(self) -> int:
        return int(self.p.argmax())

    @property
    def is_wrong(self) -> bool:
        return self.label not in (UNKNOWN_LABEL, self.predicted)

    @property
    def colour(self) -> str:
        return VERMILLION if self.is_wrong else BLUE

    @property
    def title(self) -> str:
        predicted = self.names[self.predicted]
        return f"✗ {predicted}, {self.label_name} {self.names[self.label]}" if self.is_wrong else predicted

    @property
    def classes(self) -> list[int]:
        """The classes with a bar: all of them by label if they are few, else the most probable ones first."""
        if len(self.p) <= MAX_BARS:
            return list(range(len(self.p)))
        order = np.argsort(-self.p, kind="stable").tolist()
        return [c for rank, c in enumerate(order) if rank < MAX_BARS or c == self.label]


def _draw_image(axes: Axes, rgb: NDArray[Any], image: _Image) -> None:
    axes.imshow(rgb, interpolation="none")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=image.is_wrong, color=image.colour, linewidth=2.5)
    axes.set_title(image.title, color=image.colour, weight="bold")


def _draw_bars(axes: Axes, image: _Image) -> None:
    """Horizontal bars, the first class on top, in front of pale bars from 0 to 1."""
    positions = range(len(image.classes))
    axes.barh(positions, 1, height=0.62, color=PALE)
    colours = [image.colour if c == image.predicted else SOFT for c in image.classes]
    axes.barh(positions, image.p[image.classes], height=0.62, color=colours)
    axes.set_yticks(positions, [f"✓ {image.names[c]}" if c == image.label else image.names[c] for c in image.classes])
    axes.set(xlim=(0, 1), xticks=[], ylim=(len(positions) - 0.5, -0.5))
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)


def _write_column(axes: Axes, number: int, texts: list[str], colour: str) -> None:
    """Right-aligned texts next to the bars, in column 1 or 2."""
    end = 1 + number * COLUMN / BAR  # a bar has length 1
    for position, text in enumerate(texts):
        axes.text(end, position, text, ha="right", va="center_baseline", size=8, color=colour)


def format_probability(p: float) -> str:
    """Three decimals, without rounding to 0 or 1.

    >>> format_probability(0.25), format_probability(0.9999)
    ('0.250', '>0.999')
    """
    if 0 < p < 0.001:
        return "<0.001"
    return ">0.999" if 0.999 < p < 1 else f"{p:.3f}"
