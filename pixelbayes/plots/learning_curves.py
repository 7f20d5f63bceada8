"""The progress of all trials of a sweep."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from pixelbayes.plots.curves import label_epochs
from pixelbayes.plots.style import BLUE, QUIET, SOFT, VERMILLION, styled
from pixelbayes.plots.trials import value_limits

LOOKS = {  # colour, line width and style
    "stopped early": (SOFT, 0.8, "-"),
    "running": (QUIET, 1.0, (0, (4, 2))),
    "finished": (BLUE, 0.9, "-"),
    "best": (VERMILLION, 2.0, "-"),
}


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

    The axis omits values that are far worse than the others.

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
        state = states[number] if states[number] in LOOKS else "stopped early"
        name = "best" if number == best else state
        colour, width, line = LOOKS[name]
        order = 2 + list(LOOKS).index(name)
        epochs, values = zip(*points, strict=True)
        marker = "." if len(points) < 3 else ""  # a line through a single point is invisible
        alpha = 1 if name == "best" or len(drawn) < 30 else 0.6
        (handles[name],) = axes.plot(
            epochs, values, color=colour, linewidth=width, linestyle=line, marker=marker, markersize=4, alpha=alpha,
            zorder=order,
        )  # fmt: skip
        if states[number] == "pruned":
            (handles["pruned"],) = axes.plot(epochs[-1], values[-1], "x", color=SOFT, markersize=4.5, zorder=6)
    if drawn:
        values_of = [[value for _, value in points] for points in drawn.values()]
        axes.set_ylim(value_limits([end for values in values_of for end in (min(values), max(values))], minimise))
        label_epochs(axes, [epoch for points in drawn.values() for epoch, _ in points])
        figure.legend(handles.values(), handles, loc="outside upper left", ncols=len(handles))
    axes.grid(axis="y")
    axes.tick_params(length=0)
    return figure
