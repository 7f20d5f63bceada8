"""Training curves of one run."""

import math
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pixelbayes.plots.style import BLUE, QUIET, SOFT, VERMILLION, styled

History = Sequence[Mapping[str, float]]
"""One row of metrics per epoch, by their names in history.csv; a value may be missing or NaN."""

Series = tuple[list[int], list[float]]
"""Epochs and values."""

PANELS = {  # axis label -> (relative height, {line label: name in the history})
    "bits per dimension": (3, {"train": "train/bits_per_dim", "validation": "val/bits_per_dim"}),
    "cross-entropy (nats)": (3, {"train": "train/cross_entropy", "validation": "val/cross_entropy"}),
    "accuracy": (2, {"validation": "val/accuracy"}),
    "learning rate": (1, {"": "learning_rate"}),
}
COLOURS = {"train": SOFT, "validation": BLUE}
NAMES = tuple(name for _, lines in PANELS.values() for name in lines.values())


@styled
def curves(history: History, best_epoch: int | None = None) -> Figure:
    """The metrics of PANELS by epoch, one panel above the other. Metrics that were never measured are left out.

    Args:
        history: The rows of the history.
        best_epoch: The epoch of the selected weights; marked in every panel.

    Raises:
        ValueError: If none of the metrics was measured.
    """
    panels = {}
    for title, (height, names) in PANELS.items():
        lines = {label: series for label, name in names.items() if (series := series_of(history, name))[0]}
        if lines:
            panels[title] = height, lines
    if not panels:
        raise ValueError(f"the history contains none of {', '.join(NAMES)}")
    heights = [height for height, _ in panels.values()]
    figure = Figure(figsize=(7.2, 0.5 + 0.9 * sum(heights)), layout="constrained")
    column = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, (_, lines)) in zip(column, panels.items(), strict=True):
        _draw_panel(axes, title, lines, best_epoch)
    if best_epoch is not None:
        column[0].annotate(
            f"selected: epoch {best_epoch}", (best_epoch, 1), (0, 4), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", color=VERMILLION, size=8,
        )  # fmt: skip
    epochs = [epoch for _, lines in panels.values() for epochs, _ in lines.values() for epoch in epochs]
    label_epochs(column[-1], epochs)
    figure.align_ylabels()
    return figure


def label_epochs(axes: Axes, epochs: Sequence[int]) -> None:
    """Labels an axis of epochs, and gives it limits and integer ticks."""
    axes.set_xlabel("epoch")
    margin = max(0.5, 0.03 * (max(epochs) - min(epochs)))  # positive for a single epoch
    axes.set_xlim(min(epochs) - margin, max(epochs) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def was_measured(history: History, names: Iterable[str]) -> bool:
    """Whether any of these metrics was measured in any epoch."""
    return any(series_of(history, name)[0] for name in names)


def series_of(history: History, name: str) -> Series:
    """The epochs in which a metric was measured, and its values."""
    measured = [(int(row["epoch"]), row[name]) for row in history if not math.isnan(row.get(name, math.nan))]
    return [epoch for epoch, _ in measured], [value for _, value in measured]


def _draw_panel(axes: Axes, title: str, lines: Mapping[str, Series], best_epoch: int | None) -> None:
    for label, (epochs, values) in lines.items():
        colour = COLOURS.get(label, QUIET)
        marker = "." if len(epochs) < 3 else ""  # a line through a single point is invisible
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
