"""Training curves of several runs in one figure."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure

from pixelbayes.plots.curves import History, Series, label_epochs
from pixelbayes.plots.style import styled

BITS = "bits per dimension"
PANELS = {  # axis label -> name in the history
    BITS: "val/bits_per_dim",
    "cross-entropy (nats)": "val/cross_entropy",
    "accuracy": "val/accuracy",
    "FID": "quality/fid",
}
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1)))  # with ten colours, enough for thirty names
MAX_NAMES_ABOVE = 6  # in two lines above the panels; more names are listed beside them


@styled
def overlaid_curves(histories: Mapping[str, Sequence[History]]) -> Figure:
    """The metrics of PANELS by epoch, with one line per name: the mean over its runs.

    The axis of bits per dimension omits values far above the others, to distinguish the ends of the curves.

    Args:
        histories: The histories of the runs of each name.

    Raises:
        ValueError: If none of the metrics was measured.
    """
    panels = {title: _mean_curves(histories, metric) for title, metric in PANELS.items()}
    panels = {title: lines for title, lines in panels.items() if lines}
    if not panels:
        raise ValueError(f"the histories contain none of {', '.join(PANELS.values())}")
    names = list(histories)
    figure = Figure(figsize=(8.0, 3.2 * len(panels)), layout="constrained")
    column = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    handles = {}
    for axes, (title, lines) in zip(column, panels.items(), strict=True):
        for name, (epochs, values) in lines.items():
            i = names.index(name)
            style = {"color": colormaps["tab10"](i % 10), "linestyle": DASHES[i // 10 % len(DASHES)]}
            (handles[name],) = axes.plot(epochs, values, marker="." if len(values) < 3 else "", **style)
        axes.set_ylabel(title)
        axes.grid(axis="y")
        axes.tick_params(length=0)
    if BITS in panels:
        ends = [values[-1] for _, values in panels[BITS].values()]
        low = min(min(values) for _, values in panels[BITS].values())
        if max(ends) > low:
            margin = max(ends) - low
            column[0].set_ylim(low - 0.1 * margin, max(ends) + 1.5 * margin)
    label_epochs(column[-1], [epoch for lines in panels.values() for epochs, _ in lines.values() for epoch in epochs])
    measured = [name for name in names if name in handles]
    place: dict[str, Any] = {"loc": "outside right upper"}
    if len(measured) <= MAX_NAMES_ABOVE:
        place = {"loc": "outside upper left", "ncols": 3}
    figure.legend([handles[name] for name in measured], measured, **place)
    return figure


def _mean_curves(histories: Mapping[str, Sequence[History]], metric: str) -> dict[str, Series]:
    """The mean over the runs of each name, at the epochs that all of its runs have measured."""
    curves = {}
    for name, runs in histories.items():
        measured = [
            {int(row["epoch"]): row[metric] for row in run if not math.isnan(row.get(metric, math.nan))} for run in runs
        ]
        epochs = sorted(set.intersection(*map(set, measured))) if measured else []
        if epochs:
            curves[name] = epochs, [fmean(run[epoch] for run in measured) for epoch in epochs]
    return curves
