"""The progress of all trials of a sweep."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from pixelbayes.plots.curves import label_epochs
from pixelbayes.plots.style import BLUE, SOFT, VERMILLION, styled
from pixelbayes.plots.trials import value_limits

LOOKS = {"stopped early": (SOFT, 0.8), "finished": (BLUE, 0.9), "best": (VERMILLION, 2.0)}  # colour and line width


@styled
def learning_curves(
    progress: Mapping[int, Sequence[tuple[int, float]]],
    states: Mapping[int, str],
    *,
    heading: str,
    minimise: bool,
    best: int | None = None,
) -> Figure:
    """The objective by epoch, with one line per trial; a cross where a trial was pruned.

    The axis omits values that are far worse than those at the ends of the lines.

    Args:
        progress: Epochs and values of each trial, by its number.
        states: "finished", "pruned" or another one, by number.
        heading: Name of the value, with its unit.
        minimise: Whether lower values are better.
        best: Number of the best trial.
    """
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.add_subplot(ylabel=heading)
    handles = {}
    drawn = {number: points for number, points in progress.items() if points}
    for number, points in drawn.items():
        name = "best" if number == best else "finished" if states[number] == "finished" else "stopped early"
        colour, width = LOOKS[name]
        order = 2 + list(LOOKS).index(name)
        epochs, values = zip(*points, strict=True)
        marker = "." if len(points) < 3 else ""  # a line through a single point is invisible
        alpha = 1 if name == "best" or len(drawn) < 30 else 0.6
        (handles[name],) = axes.plot(
            epochs, values, color=colour, linewidth=width, marker=marker, markersize=4, alpha=alpha, zorder=order
        )
        if states[number] == "pruned":
            (handles["pruned"],) = axes.plot(epochs[-1], values[-1], "x", color=SOFT, markersize=4.5, zorder=order)
    ends = [points[-1][1] for points in drawn.values()]
    extremes = [(min if minimise else max)(value for _, value in points) for points in drawn.values()]
    if drawn:
        axes.set_ylim(value_limits([*ends, *extremes], minimise))
        label_epochs(axes, [epoch for points in drawn.values() for epoch, _ in points])
        figure.legend(handles.values(), handles, loc="outside upper left", ncols=len(handles))
    axes.grid(axis="y")
    axes.tick_params(length=0)
    return figure
