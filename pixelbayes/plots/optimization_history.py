"""The values of the trials of a sweep, in their order."""

from collections.abc import Sequence
from math import isfinite

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pixelbayes.plots.style import BLUE, FAINT, VERMILLION, styled
from pixelbayes.plots.trials import draw_trials


@styled
def optimization_history(
    numbers: Sequence[int],
    values: Sequence[float | None],
    states: Sequence[str],
    *,
    heading: str,
    minimise: bool,
    best: int | None = None,
    intervals: Sequence[tuple[float, float] | None] = (),
) -> Figure:
    """The value of each trial by its number, and the best value so far. Failed trials are ticks below.

    Args:
        numbers: Number of each trial, in increasing order.
        values: Its value, for a pruned trial the last one; None if there is none.
        states: "finished", "pruned", "failed" or another one.
        heading: Name of the value, with its unit.
        minimise: Whether lower values are better.
        best: Number of the best trial.
        intervals: Interval of each value, if known.
    """
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.add_subplot(xlabel="trial", ylabel=heading)
    for number, interval in zip(numbers, intervals, strict=False):
        if interval is not None:
            axes.plot([number, number], interval, color=FAINT, linewidth=1.2, zorder=1)
    handles = draw_trials(axes, numbers, values, states, minimise, _index(numbers, best))
    steps: list[tuple[int, float]] = []
    for number, value, state in zip(numbers, values, states, strict=True):
        if state == "finished" and value is not None and isfinite(value):
            so_far = steps[-1][1] if steps else value
            steps.append((number, min(value, so_far) if minimise else max(value, so_far)))
    if steps:
        steps.append((max(numbers), steps[-1][1]))
        (handles["best so far"],) = axes.step(*zip(*steps, strict=True), where="post", color=BLUE, linewidth=1.2)
    failed = [number for number, state in zip(numbers, states, strict=True) if state == "failed"]
    if failed:
        (handles["failed"],) = axes.plot(
            failed, [0.02] * len(failed), "|", color=VERMILLION, markersize=7, transform=axes.get_xaxis_transform()
        )
    first, last = min(numbers, default=0), max(numbers, default=0)
    margin = max(0.5, 0.02 * (last - first))
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if handles:
        figure.legend(handles.values(), handles, loc="outside upper left", ncols=len(handles))
    return figure


def _index(numbers: Sequence[int], best: int | None) -> int:
    return numbers.index(best) if best in numbers else -1
