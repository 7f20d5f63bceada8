"""Sample quality in the course of training."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pixelbayes.plots.curves import mark_epochs, series_of
from pixelbayes.plots.style import BLUE, QUIET, SOFT, styled

MEASURES = {"FID": "quality/fid", "KID": "quality/kid"}  # axis label -> key of the history
MOST_NAMES = 12  # classes up to which each line is named at its end
LINE = 0.055  # height of such a name, as a share of the panel


@styled
def quality_curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """FID and KID by epoch, of all samples and of each class; what was never measured is left out.

    Args:
        history: Rows keyed "epoch", "quality/fid", "quality/kid" and, of a class, "quality/fid/NAME"; what was not
            measured in an epoch is missing or NaN.

    Raises:
        ValueError: If the history holds neither of all samples.
    """
    panels = {title: key for title, key in MEASURES.items() if series_of(history, key)[0]}
    if not panels:
        raise ValueError(f"the history holds neither of {', '.join(MEASURES.values())}")
    figure = Figure(figsize=(7.2, 0.5 + 2.6 * len(panels)), layout="constrained")
    column = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    epochs: list[int] = []
    for axes, (title, key) in zip(column, panels.items(), strict=True):
        epochs += _panel(axes, history, key)
        axes.set_ylabel(title)
    mark_epochs(column[-1], epochs)
    figure.align_ylabels()
    return figure


def _panel(axes: Axes, history: Sequence[Mapping[str, Any]], key: str) -> list[int]:
    """Draws a line for each class and a bold one for all; returns the epochs."""
    names = dict.fromkeys(name for row in history for name in row if name.startswith(f"{key}/"))
    classes = {name.removeprefix(f"{key}/"): series_of(history, name) for name in names}
    classes = {name: series for name, series in classes.items() if series[0]}
    for at, values in classes.values():
        axes.plot(at, values, color=SOFT, linewidth=0.9, marker=".", markersize=4)
    epochs, values = series_of(history, key)
    axes.plot(epochs, values, color=BLUE, marker="o", markersize=4, label="all samples")
    axes.grid(axis="y")
    axes.tick_params(length=0)
    if classes:
        axes.plot([], [], color=SOFT, linewidth=0.9, label="each class")
        axes.legend(loc="best")
    if len(classes) <= MOST_NAMES:
        low, high = axes.get_ylim()
        ends = [values[-1] for _, values in classes.values()]
        for name, height in zip(classes, apart(ends, LINE * (high - low)), strict=True):
            axes.text(1.01, height, name, transform=axes.get_yaxis_transform(), va="center", size=7, color=QUIET)
        axes.set_ylim(low, high)
    return epochs


def apart(heights: Sequence[float], gap: float) -> list[float]:
    """The heights, moved up as little as keeps each `gap` from the next.

    >>> apart([3.0, 1.0, 1.5], gap=1.0)
    [3.0, 1.0, 2.0]
    """
    moved = list(heights)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    return moved
