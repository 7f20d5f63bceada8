"""Several runs in one picture."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib import colormaps
from matplotlib.figure import Figure

from pixelbayes.evaluation.figures.style import styled

PANELS = {"bits per dimension": "val/bits_per_dim", "accuracy": "val/accuracy"}
DASHES = ("-", (0, (4, 2)), (0, (1, 1)))  # with ten colours, enough for thirty names

History = Sequence[Mapping[str, float]]


@styled
def overlaid_curves(histories: Mapping[str, Sequence[History]]) -> Figure:
    """Bits per dimension and accuracy on validation by epoch, a line for each name: the mean over its runs.

    The axis of bits leaves out what lies far above the rest, so that the ends of the curves can be told apart.

    Args:
        histories: Name -> the histories of its runs, rows keyed "epoch", "val/bits_per_dim", "val/accuracy".
    """
    figure = Figure(figsize=(8.0, 6.4), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (title, key) in zip(panels, PANELS.items(), strict=True):
        for i, (name, runs) in enumerate(histories.items()):
            epochs, values = _mean(runs, key)
            if values:
                style = {"color": colormaps["tab10"](i % 10), "linestyle": DASHES[i // 10 % len(DASHES)]}
                axes.plot(epochs, values, label=name, marker="." if len(values) < 3 else "", **style)
        axes.set_ylabel(title)
        axes.grid(axis="y")
        axes.tick_params(length=0)
    ends = [values[-1] for runs in histories.values() if (values := _mean(runs, PANELS["bits per dimension"])[1])]
    lows = [min(values) for runs in histories.values() if (values := _mean(runs, PANELS["bits per dimension"])[1])]
    if ends and max(ends) > min(lows):
        margin = max(ends) - min(lows)
        panels[0].set_ylim(min(lows) - 0.1 * margin, max(ends) + 1.5 * margin)
    panels[-1].set_xlabel("epoch")
    handles, names = panels[-1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper")
    return figure


def _mean(runs: Sequence[History], key: str) -> tuple[list[int], list[float]]:
    """Epochs that every run has measured, and the mean over runs."""
    measured = [{int(row["epoch"]): row[key] for row in run if not math.isnan(row.get(key, math.nan))} for run in runs]
    epochs = sorted(set.intersection(*map(set, measured))) if measured else []
    return epochs, [fmean(run[epoch] for run in measured) for epoch in epochs]
