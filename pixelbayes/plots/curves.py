"""The course of training, epoch by epoch."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pixelbayes.plots.style import BLUE, QUIET, SOFT, VERMILLION, styled

Series = tuple[list[int], list[float]]

PANELS = {  # axis label -> (relative height, {line label: key of the history})
    "bits per dimension": (3, {"train": "train/bits_per_dim", "validation": "val/bits_per_dim"}),
    "cross-entropy (nats)": (3, {"train": "train/cross_entropy", "validation": "val/cross_entropy"}),
    "accuracy": (2, {"validation": "val/accuracy"}),
    "learning rate": (1, {"": "learning_rate"}),
}
COLOURS = {"train": SOFT, "validation": BLUE}


@styled
def curves(history: Sequence[Mapping[str, Any]], best_epoch: int | None = None) -> Figure:
    """What `PANELS` names by epoch, one panel above the other; what was never logged is left out.

    Args:
        history: Rows as they stand in a metrics csv, keyed "epoch" and as `PANELS` says; numbers may be
            strings, and a value may be missing, None, "" or NaN.
        best_epoch: The epoch whose weights were selected; marked in every panel.

    Raises:
        ValueError: If the history holds none of these values.
    """
    panels = {}
    for title, (share, keys) in PANELS.items():
        lines = {label: series_of(history, key) for label, key in keys.items()}
        lines = {label: series for label, series in lines.items() if series[0]}
        if lines:
            panels[title] = share, lines
    if not panels:
        raise ValueError("the history holds no bits per dimension, no accuracy and no learning rate")
    shares = [share for share, _ in panels.values()]
    figure = Figure(figsize=(7.2, 0.5 + 0.9 * sum(shares)), layout="constrained")
    column = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=shares)[:, 0]
    for axes, (title, (_, lines)) in zip(column, panels.items(), strict=True):
        _panel(axes, title, lines, best_epoch)
    if best_epoch is not None:
        column[0].annotate(
            f"selected: epoch {best_epoch}", (best_epoch, 1), (0, 4), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", color=VERMILLION, size=8,
        )  # fmt: skip
    mark_epochs(column[-1], [epoch for _, lines in panels.values() for epochs, _ in lines.values() for epoch in epochs])
    figure.align_ylabels()
    return figure


def mark_epochs(axes: Axes, epochs: Sequence[int]) -> None:
    """Gives an axis of epochs its name, its limits and whole numbers for ticks."""
    axes.set_xlabel("epoch")
    margin = max(0.5, 0.03 * (max(epochs) - min(epochs)))  # one epoch alone has a width too
    axes.set_xlim(min(epochs) - margin, max(epochs) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def was_logged(history: Sequence[Mapping[str, Any]], keys: Iterable[str]) -> bool:
    """Whether any epoch has a value of any of these."""
    return any(series_of(history, key)[0] for key in keys)


def series_of(history: Sequence[Mapping[str, Any]], key: str) -> Series:
    """Epochs and values of the rows that have both; what is missing, None, "" or NaN was not measured."""
    rows = [(row["epoch"], row[key]) for row in history if {row.get("epoch"), row.get(key)}.isdisjoint({None, ""})]
    measured = [(int(float(epoch)), float(value)) for epoch, value in rows if not math.isnan(float(value))]
    return [epoch for epoch, _ in measured], [value for _, value in measured]


def _panel(axes: Axes, title: str, lines: Mapping[str, Series], best_epoch: int | None) -> None:
    for label, (epochs, values) in lines.items():
        colour = COLOURS.get(label, QUIET)
        marker = "." if len(epochs) < 3 else ""  # a line needs two points to be seen
        axes.plot(epochs, values, color=colour, label=label, marker=marker)
        if best_epoch in epochs and label == "validation":
            axes.plot(best_epoch, values[epochs.index(best_epoch)], "o", color=VERMILLION, markersize=5, zorder=3)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=VERMILLION, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
    axes.set_ylabel(title)
    axes.grid(axis="y")
    axes.tick_params(length=0)
    if len(lines) > 1:
        axes.legend(loc="best")
