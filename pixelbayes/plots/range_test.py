"""The range test of the learning rate."""

import math

from matplotlib.figure import Figure

from pixelbayes.plots.curves import History
from pixelbayes.plots.style import BLUE, VERMILLION, styled


@styled
def range_test(rows: History, found: float) -> Figure:
    """The loss by learning rate, on a logarithmic scale; the rate that was found is marked.

    The axis of the loss ends where the test began, because the loss of the largest rates may be many times as large.

    Args:
        rows: "learning_rate" and "loss" of each step.
        found: The rate that was found.
    """
    rates, losses = ([row[name] for row in rows] for name in ("learning_rate", "loss"))
    lowest = min(loss for loss in losses if math.isfinite(loss))
    highest = max(losses[: losses.index(lowest) + 1])
    margin = 0.05 * (highest - lowest) or 1.0
    figure = Figure(figsize=(5.6, 3.0), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="learning rate", ylabel="loss of a batch")
    axes.plot(rates, losses, ".-", color=BLUE, linewidth=0.8)
    axes.set_ylim(lowest - margin, highest + margin)
    axes.axvline(found, color=VERMILLION, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
    axes.annotate(
        f"found: {found:g}", (found, 1), (0, 4), xycoords=("data", "axes fraction"), textcoords="offset points",
        ha="center", color=VERMILLION, size=8,
    )  # fmt: skip
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y")
    axes.tick_params(length=0)
    return figure
