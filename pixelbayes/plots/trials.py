"""What the figures of a sweep share: the axis of a parameter, and the marks of trials."""

import json
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from pixelbayes.plots.style import BLUE, SOFT, VERMILLION

MAX_CATEGORIES = 8  # distinct numbers up to which each has its own place, if nothing is known of the parameter
WIDE = 20  # ratio of the largest and the least real number from which an axis is logarithmic, likewise
MAX_TICKS = 6


@dataclass(frozen=True)
class Scale:
    """The axis of a parameter: linear, logarithmic, or with one place for each value.

    Args:
        low: Its lower end.
        high: Its upper end, above the lower one.
        log: Whether it is logarithmic.
        categories: The text of each value, of which the first has position 0; empty for numbers on an axis.
    """

    low: float
    high: float
    log: bool = False
    categories: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Collection[Any], searched: str = "") -> "Scale":
        """The scale that suits a parameter.

        Args:
            values: Its values in the trials.
            searched: The values that were searched, such as "40,60,80" or "0.0001..0.003:log"; empty if unknown.

        >>> Scale.of([0.001], "0.0001..0.003:log")
        Scale(low=0.0001, high=0.003, log=True, categories=())
        >>> Scale.of(["film", "adaln"], "film,adaln").categories
        ('film', 'adaln')
        """
        numbers = [value for value in values if _is_number(value)]
        span = re.match(r"(.+)\.\.([^:]+)", searched)
        is_numeric = bool(numbers) and len(numbers) == len(values)
        if span and numbers and all(value is None or _is_number(value) for value in values):  # None: not set
            ends = [*map(float, span.groups()), *numbers]
            return cls._of_numbers(ends, ":log" in searched and min(ends) > 0)
        if is_numeric and not searched and len(set(numbers)) > MAX_CATEGORIES:
            is_whole = all(isinstance(number, int) for number in numbers)
            return cls._of_numbers(numbers, not is_whole and 0 < WIDE * min(numbers) <= max(numbers))
        listed = re.split(r",(?![^\[]*\])", searched)  # at commas outside of lists
        by_text = {as_text(value): value for value in values}
        order = sorted(by_text, key=lambda text: listed.index(text) if text in listed else len(listed))
        names = sorted(order, key=by_text.__getitem__) if is_numeric else order
        return cls(-0.5, max(len(names), 1) - 0.5, categories=tuple(names))

    @classmethod
    def _of_numbers(cls, numbers: Sequence[float], log: bool) -> "Scale":
        low, high = float(min(numbers)), float(max(numbers))
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2)
        return cls(low, high, log)

    def positions(self, values: Sequence[Any]) -> list[float]:
        """Where the values are on the axis; NaN for those that have no place on it."""
        if self.categories:
            place = {name: float(index) for index, name in enumerate(self.categories)}
            return [place.get(as_text(value), math.nan) for value in values]
        return [float(value) if _is_number(value) else math.nan for value in values]

    def fractions(self, positions: Sequence[float]) -> list[float]:
        """Positions as fractions of the way from the lower to the upper end."""
        low, high, *found = (np.log if self.log else np.asarray)([self.low, self.high, *positions])
        return [float((each - low) / (high - low)) for each in found]

    def ticks(self) -> dict[float, str]:
        """Positions of the ticks, and their labels."""
        if self.categories:
            return {float(index): name for index, name in enumerate(self.categories)}
        locators = [MaxNLocator(MAX_TICKS - 1, steps=[1, 2, 2.5, 5, 10])]
        if self.log:
            locators = [LogLocator(subs=subs) for subs in ((1, 2, 5), (1, 3), (1,))]  # type: ignore[misc]
        for locator in locators:
            found = [each for each in locator.tick_values(self.low, self.high) if self.low <= each <= self.high]
            if len(found) <= MAX_TICKS:
                break
        found = found[:: math.ceil(len(found) / MAX_TICKS)] if len(found) > 1 else [self.low, self.high]
        return {float(each): f"{each:.3g}" for each in found}


def as_text(value: Any) -> str:
    """The value of a field as text.

    >>> as_text("film"), as_text((8, 12)), as_text(None), as_text(0.00031415926)
    ('film', '[8, 12]', 'null', '0.0003142')
    """
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def short_names(names: Collection[str]) -> dict[str, str]:
    """The last part of each dotted name, if no other name has the same.

    >>> short_names(["model.dropout", "training.epochs", "teacher.epochs"])
    {'model.dropout': 'dropout', 'training.epochs': 'training.epochs', 'teacher.epochs': 'teacher.epochs'}
    """
    ends = [name.rpartition(".")[2] for name in names]
    return {name: end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)}


def value_limits(values: Collection[float], minimise: bool) -> tuple[float, float]:
    """Ends of an axis on which good values can be told apart. A few far worse ones may lie beyond.

    >>> value_limits([1.0, 2.0, 2.0, 3.0, 900.0], minimise=True)[1] < 10
    True
    """
    if not values:
        return 0.0, 1.0
    best_first = sorted(values, reverse=not minimise)
    best, typical = best_first[0], best_first[int(0.75 * (len(values) - 1))]
    within = [value for value in best_first if abs(value - best) <= 3 * abs(typical - best)]
    worst = within[-1] if typical != best else best_first[-1]
    margin = 0.06 * abs(worst - best) or 0.1 * abs(best) or 1.0
    return min(best, worst) - margin, max(best, worst) + margin


def draw_trials(
    axes: Axes, x: Sequence[float], values: Sequence[float | None], states: Sequence[str], minimise: bool, best: int
) -> dict[str, Line2D]:
    """Draws a mark for each trial that has a value, and gives the axis of the values its limits.

    A triangle at the edge marks a value beyond it.

    Args:
        axes: Where to draw.
        x: Position of each trial.
        values: Its value; None if there is none.
        states: "finished", "pruned" or another state, of which a trial is drawn like a pruned one.
        minimise: Whether lower values are better.
        best: Index of the best trial; -1 for none.

    Returns:
        What is to be named in a legend, by name.
    """
    known = {
        index: value
        for index, value in enumerate(values)
        if value is not None and math.isfinite(value) and math.isfinite(x[index])
    }
    finished = [index for index in known if states[index] == "finished"]
    best_of_all = sorted(known.values(), reverse=not minimise)[:1]  # may be that of a trial that was stopped
    low, high = value_limits([*(known[index] for index in finished or known), *best_of_all], minimise)
    edge, triangle = (high, "^") if minimise else (low, "v")
    kinds = {
        "stopped early": ([index for index in known if states[index] != "finished"], "x", SOFT, 4.5),
        "finished": ([index for index in finished if index != best], "o", BLUE, 4.5),
        "best": ([index for index in finished if index == best], "D", VERMILLION, 6.5),
    }
    handles = {}
    for order, (name, (indices, marker, colour, size)) in enumerate(kinds.items(), 3):
        style: dict[str, Any] = {"linestyle": "", "color": colour, "markersize": size, "zorder": order}
        within = [i for i in indices if low <= known[i] <= high]
        (drawn,) = axes.plot([x[i] for i in within], [known[i] for i in within], marker=marker, alpha=0.85, **style)
        beyond = [x[i] for i in indices if not low <= known[i] <= high]
        if beyond:  # a mark without points that is not clipped would take room in the layout
            axes.plot(beyond, [edge] * len(beyond), marker=triangle, clip_on=False, **style)
        if indices:
            handles[name] = drawn
    axes.set_ylim(low, high)
    axes.grid(axis="y")
    axes.tick_params(length=0)
    return handles


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
