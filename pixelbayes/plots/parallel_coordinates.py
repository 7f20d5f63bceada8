"""The settings of all trials of a sweep as lines across one axis per parameter."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pixelbayes.plots.layout import shorten_middle
from pixelbayes.plots.style import FAINT, INK, QUIET, SHADES, VERMILLION, WHITE, styled
from pixelbayes.plots.trials import Scale, short_names, value_limits

MANY = 60  # lines from which they are thinner
MAX_LABELS = 20  # beside an axis


@styled
def parallel_coordinates(
    settings: Mapping[str, Sequence[Any]],
    values: Sequence[float | None],
    *,
    heading: str,
    minimise: bool,
    searched: Mapping[str, str] | None = None,
    best: int = -1,
) -> Figure:
    """A line for each trial, from its value of the first parameter to its value of the objective.

    The darker a line is (in a dark scheme, the brighter), the better is the objective. Trials without a value are grey,
    and end at the last parameter.

    Args:
        settings: The value of each parameter in each trial, by name.
        values: The objective of each trial; None if there is none.
        heading: Name of the objective, with its unit.
        minimise: Whether lower values are better.
        searched: The values of each parameter that were searched, as text; see `Scale.of`.
        best: Index of the best trial; -1 for none.
    """
    scales = {name: Scale.of(column, (searched or {}).get(name, "")) for name, column in settings.items()}
    columns = [scales[name].fractions(scales[name].positions(column)) for name, column in settings.items()]
    known = {index: value for index, value in enumerate(values) if value is not None and isfinite(value)}
    objective = Scale(*value_limits(known.values(), minimise))
    ends = dict(zip(known, objective.fractions(list(known.values())), strict=True))
    spacing = max(1.15, 7.4 / max(len(settings), 4))
    figure = Figure(figsize=(spacing * len(settings) + 1.6, 4.2), layout="constrained")
    axes = figure.add_subplot(xlim=(-0.05, len(settings) + 0.45), ylim=(-0.03, 1.03))
    axes.set_axis_off()
    for index in range(len(values)):
        line = [column[index] for column in columns]
        colour, width, order = FAINT, 0.8, 1.0
        if index in ends:
            line.append(min(1.02, max(-0.02, ends[index])))
            goodness = 1 - line[-1] if minimise else line[-1]
            colour, width, order = _shade(goodness), 1.1 if len(ends) < MANY else 0.7, 2 + goodness
        if index == best:
            colour, width, order = VERMILLION, 2.2, 4
        axes.plot(range(len(line)), line, color=colour, linewidth=width, zorder=order, solid_joinstyle="round")
    names = short_names(settings)
    room = int((spacing - 0.15) / 0.062)  # letters of this size between two axes
    for place, (name, scale) in enumerate(scales.items()):
        _draw_axis(axes, place, names[name], scale, room)
    _draw_axis(axes, len(settings), heading, objective, room)
    for shade in range(len(SHADES)):
        low = (len(SHADES) - 1 - shade if minimise else shade) / len(SHADES)
        axes.add_patch(Rectangle((len(settings), low), 0.05, 1 / len(SHADES), color=SHADES[shade], zorder=5))
    return figure


def _shade(goodness: float) -> str:
    return SHADES[min(len(SHADES) - 1, max(0, int(goodness * len(SHADES))))]


def _draw_axis(axes: Axes, place: int, name: str, scale: Scale, room: int) -> None:
    axes.plot([place, place], [0, 1], color=QUIET, linewidth=0.9, zorder=5)
    axes.text(
        place, 1.05, shorten_middle(name, 30), rotation=20, rotation_mode="anchor", color=INK, size=8, va="bottom"
    )
    ticks = scale.ticks()
    shown = list(ticks)[:: -(-len(ticks) // MAX_LABELS) or 1]
    box = {"facecolor": WHITE, "alpha": 0.85, "linewidth": 0, "pad": 0.8}
    for at, height in zip(shown, scale.fractions(shown), strict=True):
        axes.plot([place, place + 0.03], [height, height], color=QUIET, linewidth=0.9, zorder=5)
        axes.text(
            place + 0.07, height, shorten_middle(ticks[at], room), size=7, color=QUIET, va="center", bbox=box, zorder=6
        )  # fmt: skip
