"""When, and where, the trials of a sweep were trained."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pixelbayes.plots.layout import shorten_middle
from pixelbayes.plots.style import BLUE, FAINT, INK, QUIET, SHADES, SOFT, VERMILLION, WHITE, styled

LOOKS: dict[str, dict[str, Any]] = {
    "finished": {"facecolor": SHADES[1]},
    "pruned": {"facecolor": FAINT},
    "failed": {"facecolor": WHITE, "edgecolor": VERMILLION, "hatch": "xxxx"},
    "running": {"facecolor": WHITE, "edgecolor": BLUE},
    "further seed": {"facecolor": WHITE, "edgecolor": SOFT, "hatch": "////"},
}
MAX_GAP = 0.02  # part of the whole; a longer time in which nothing ran is left out
WIDTH, DIGIT = 5.6, 0.06  # of the axes and of a digit in a bar, in inches
UNITS = {"hours": 3600.0, "minutes": 60.0, "seconds": 1.0}  # of which at least two are needed


class Bar(NamedTuple):
    """A time in which a worker trained a trial."""

    worker: str
    """name of the worker"""
    start: float
    """in seconds"""
    end: float | None
    """in seconds; None if it still runs"""
    name: str
    """what is written into the bar, if there is enough room"""
    state: str
    """a key of LOOKS"""


@styled
def trial_timeline(bars: Sequence[Bar], seconds: float = 0.0) -> Figure:
    """A row for each worker, with a bar for each trial (Gantt chart).

    Longer times in which nothing ran are left out; a dashed line marks them.

    Args:
        bars: What was trained, in any order.
        seconds: How long the sweep runs; where a bar ends that has no end yet.
    """
    bars = sorted(bars, key=lambda bar: bar.start)
    latest = max([time for bar in bars for time in (bar.start, bar.end or bar.start)], default=0.0)
    shifts = _shifts(bars, latest)
    whole = max([latest - _shift(latest, shifts), seconds if any(bar.end is None for bar in bars) else 0.0, 1e-9])
    unit, length = next(((name, each) for name, each in UNITS.items() if whole >= 2 * each), ("seconds", 1.0))
    workers = sorted({bar.worker for bar in bars})
    figure = Figure(figsize=(7.2, 1.1 + 0.32 * max(len(workers), 1)), layout="constrained")
    axes = figure.add_subplot(xlabel=f"{unit} since the start", xlim=(0, whole / length))
    for bar in bars:
        start = bar.start - _shift(bar.start, shifts)
        end = whole if bar.end is None else bar.end - _shift(bar.start, shifts)
        place = workers.index(bar.worker)
        look: dict[str, Any] = {"linewidth": 0.6, "edgecolor": WHITE} | LOOKS[bar.state]
        axes.barh(place, (end - start) / length, left=start / length, height=0.72, **look)
        if (end - start) / whole * WIDTH > len(bar.name) * DIGIT + 0.04:
            text = axes.text((start + end) / 2 / length, place, bar.name, ha="center", va="center", size=6.5, color=INK)
            if "hatch" in look:
                text.set_bbox({"facecolor": WHITE, "alpha": 0.8, "linewidth": 0, "pad": 0.4})
    for time in [time - shift for time, shift in shifts if time > bars[0].start]:
        axes.axvline(time / length, color=QUIET, linewidth=0.9, linestyle=(0, (3, 3)))
    axes.set_yticks(range(len(workers)), [shorten_middle(worker, 24) for worker in workers])
    axes.set_ylim(max(len(workers), 1) - 0.5, -0.5)
    axes.tick_params(length=0)
    states = [state for state in LOOKS if any(bar.state == state for bar in bars)]
    if states:
        patches = [Patch(linewidth=0.8, **LOOKS[state]) for state in states]
        figure.legend(patches, states, loc="outside upper left", ncols=len(states))
    return figure


def _shifts(bars: Sequence[Bar], latest: float) -> list[tuple[float, float]]:
    """Times after which all is drawn earlier, and by how much, for bars in the order of their starts."""
    if not bars:
        return []
    shifts = [(bars[0].start, bars[0].start)]
    until = bars[0].start
    idle = 0.0
    for bar in bars:
        idle += max(0.0, bar.start - until)
        until = max(until, latest if bar.end is None else bar.end)
    busy = latest - bars[0].start - idle
    until = bars[0].start
    for bar in bars:
        if bar.start - until > MAX_GAP * busy:
            shifts.append((bar.start, shifts[-1][1] + bar.start - until))
        until = max(until, latest if bar.end is None else bar.end)
    return shifts


def _shift(time: float, shifts: Sequence[tuple[float, float]]) -> float:
    return [shift for start, shift in shifts if start <= time][-1] if shifts else 0.0
