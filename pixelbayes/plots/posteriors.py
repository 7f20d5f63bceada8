"""What the classifier believes about single images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.plots.layout import MARGIN, Sheet, shorten, text_width
from pixelbayes.plots.style import BLUE, INK, PALE, QUIET, SOFT, VERMILLION, styled, to_rgb

MOST_BARS = 5  # classes shown for one image, not counting the right one
PICTURE, TRACK, COLUMN = 144, 272, 120  # widths of the picture, the bars and a column of numbers, in image pixels
TITLE, LINE, GAP = 40, 36, 48  # heights of the title and of a bar; white between cells


@styled
def posteriors(
    pixels: Tensor,
    levels: int,
    posterior: Tensor,
    class_names: Sequence[str],
    labels: Tensor | None = None,
    log_probs: Tensor | None = None,
    averaged: bool = False,
) -> Figure:
    """A handful of images, each beside its bars p(c | x).

    The right class bears a tick mark. The guess is blue if right, else vermillion, framed, crossed and put in words. Of
    more than five classes the five likeliest are shown, and the right one if it is not among them.

    Args:
        pixels: uint8 (N, C, H, W), 0 .. levels-1.
        levels: Number of values a colour can take.
        posterior: p(c | x), shape (N, Y); rows sum to 1.
        class_names: Y names.
        labels: int64 (N,), -1 where unknown.
        log_probs: log p(x | c) in nats, shape (N, Y); written beside the bars if given.
        averaged: Whether each is the mean over several readings of its image.
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
    truths = [-1] * count if labels is None else labels.tolist()
    beliefs = [_Belief(names, p, truth) for p, truth in zip(posterior.double().cpu().numpy(), truths, strict=True)]

    zoom = max(1, round(PICTURE / max(rgb.shape[1:3])))
    height, width = zoom * rgb.shape[1], zoom * rgb.shape[2]
    left = width + text_width([f"✓ {name}" for name in names], size=8) + GAP // 2  # of the bars
    columns = 1 if log_probs is None else 2
    sheet = Sheet(
        count,
        across=1 if count < 4 else 2,
        width=max(left + TRACK + columns * COLUMN, text_width([belief.title for belief in beliefs], weight="bold")),
        height=TITLE + max(height, LINE * max(len(belief.shown) for belief in beliefs)),
        gap=GAP,
        foot=LINE * (columns - 1),
    )
    for i, belief in enumerate(beliefs):
        _picture(sheet.axes(i, 0, TITLE, width, height), rgb[i], belief)
        chart = sheet.axes(i, left, TITLE, TRACK, LINE * len(belief.shown))
        _bars(chart, belief)
        _column(chart, 1, [three_places(belief.p[c]) for c in belief.shown], INK)
        if log_probs is not None:
            _column(chart, 2, [f"{nats:.1f}" for nats in log_probs[i, belief.shown].tolist()], QUIET)
    if log_probs is not None:
        corner = 1 - MARGIN / sheet.width, MARGIN / sheet.height
        of = "mean log p(x | c) of the readings" if averaged else "log p(x | c)"
        sheet.figure.text(*corner, f"p(c | x)   {of} in nats", color=QUIET, size=8, ha="right")
    return sheet.figure


@dataclass(frozen=True)
class _Belief:
    """One posterior, and what there is to say of it."""

    names: Sequence[str]
    p: np.ndarray  # (Y,)
    truth: int  # -1 if unknown

    @property
    def guess(self) -> int:
        return int(self.p.argmax())

    @property
    def mistaken(self) -> bool:
        return self.truth not in (-1, self.guess)

    @property
    def colour(self) -> str:
        return VERMILLION if self.mistaken else BLUE

    @property
    def title(self) -> str:
        guess = self.names[self.guess]
        return f"✗ {guess}, in truth {self.names[self.truth]}" if self.mistaken else guess

    @property
    def shown(self) -> list[int]:
        """The classes that get a bar: all in their own order if they are few, else the likeliest first."""
        if len(self.p) <= MOST_BARS:
            return list(range(len(self.p)))
        order = np.argsort(-self.p, kind="stable").tolist()
        return [c for rank, c in enumerate(order) if rank < MOST_BARS or c == self.truth]


def _picture(axes: Axes, rgb: np.ndarray, belief: _Belief) -> None:
    axes.imshow(rgb, interpolation="none")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=belief.mistaken, color=belief.colour, linewidth=2.5)
    axes.set_title(belief.title, color=belief.colour, weight="bold")


def _bars(axes: Axes, belief: _Belief) -> None:
    """Horizontal bars, first class on top, on a pale track from 0 to 1."""
    places = range(len(belief.shown))
    axes.barh(places, 1, height=0.62, color=PALE)
    colours = [belief.colour if c == belief.guess else SOFT for c in belief.shown]
    axes.barh(places, belief.p[belief.shown], height=0.62, color=colours)
    axes.set_yticks(places, [f"✓ {belief.names[c]}" if c == belief.truth else belief.names[c] for c in belief.shown])
    axes.set(xlim=(0, 1), xticks=[], ylim=(len(places) - 0.5, -0.5))
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)


def _column(axes: Axes, number: int, texts: list[str], colour: str) -> None:
    """Right-aligned texts beside the bars, in column 1 or 2."""
    end = 1 + number * COLUMN / TRACK  # where the track is 1 long
    for place, text in enumerate(texts):
        axes.text(end, place, text, ha="right", va="center_baseline", size=8, color=colour)


def three_places(p: float) -> str:
    """Three decimals that never round doubt away: 0.9999 is not 1."""
    if 0 < p < 0.001:
        return "<0.001"
    return ">0.999" if 0.999 < p < 1 else f"{p:.3f}"
