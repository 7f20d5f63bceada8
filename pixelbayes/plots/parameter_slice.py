"""The values of the trials of a sweep by one parameter."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from pixelbayes.plots.layout import shorten_middle, text_width
from pixelbayes.plots.style import DPI, styled
from pixelbayes.plots.trials import Scale, draw_trials

WIDTH, HEIGHT = 3.4, 2.6  # in inches, without slanted labels
JITTER = 0.2  # largest distance from the place of a category
NARROW = 20  # length of a name of a category


@styled
def parameter_slice(
    parameters: Sequence[Any],
    values: Sequence[float | None],
    states: Sequence[str],
    *,
    name: str,
    heading: str,
    minimise: bool,
    searched: str = "",
    best: int = -1,
) -> Figure:
    """The value of each trial by one parameter. All other parameters differ as well.

    Trials with the same value of a categorical parameter are drawn side by side.

    Args:
        parameters: The parameter's value in each trial.
        values: Value of the objective; None if there is none.
        states: "finished", "pruned" or another one.
        name: Name of the parameter.
        heading: Name of the objective, with its unit.
        minimise: Whether lower values are better.
        searched: The values that were searched, as text; see `Scale.of`.
        best: Index of the best trial; -1 for none.
    """
    scale = Scale.of(parameters, searched)
    positions = scale.positions(parameters)
    if scale.categories:  # the golden ratio spreads any number of trials evenly
        positions = [at + JITTER * (2 * ((index * 0.618034 + 0.5) % 1) - 1) for index, at in enumerate(positions)]
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.add_subplot(xlabel=shorten_middle(name, 40), ylabel=heading, xscale="log" if scale.log else "linear")
    draw_trials(axes, positions, values, states, minimise, best)
    margin = 0 if scale.categories else 0.04
    ends = [scale.low * (scale.high / scale.low) ** at for at in (-margin, 1 + margin)] if scale.log else [
        scale.low + (scale.high - scale.low) * at for at in (-margin, 1 + margin)
    ]  # fmt: skip
    axes.set_xlim(*ends)
    ticks = {at: shorten_middle(label, NARROW) for at, label in scale.ticks().items()}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xticks([], minor=True)
    if ticks:
        widest = text_width(list(ticks.values()), size=8) / DPI
        if widest > 0.85 * (WIDTH - 0.8) / len(ticks):
            axes.tick_params(axis="x", rotation=45 if len(ticks) <= 12 else 90)
            for label in axes.get_xticklabels():
                label.set(ha="right", va="center", rotation_mode="anchor")
            figure.set_figheight(HEIGHT + 0.75 * widest)
    return figure
