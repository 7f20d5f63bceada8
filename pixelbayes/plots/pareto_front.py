"""The trials of a sweep with several objectives."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from matplotlib.figure import Figure

from pixelbayes.plots.style import BLUE, INK, SOFT, styled
from pixelbayes.plots.trials import value_limits

PER_ROW = 2


@styled
def pareto_front(
    numbers: Sequence[int],
    values: Mapping[str, Sequence[float]],
    front: Sequence[int],
    *,
    minimise: Mapping[str, bool],
) -> Figure:
    """All trials by each pair of objectives. Those that no other one beats in all objectives are numbered.

    Args:
        numbers: Number of each trial.
        values: Its values, by the name of the objective; two or more.
        front: Numbers of the trials that no other one beats.
        minimise: Whether lower values are better, by the name of the objective.

    Raises:
        ValueError: If there are fewer than two objectives.
    """
    pairs = list(combinations(values, 2))
    if not pairs:
        raise ValueError(f"{len(values)} objectives, expected two or more")
    rows, across = -(-len(pairs) // PER_ROW), min(len(pairs), PER_ROW)
    figure = Figure(figsize=(5.6 if across == 1 else 8.4, 3.8 * rows), layout="constrained")
    panels = figure.subplots(rows, across, squeeze=False).flat
    on_front = [number in set(front) for number in numbers]
    for (one, other), axes in zip(pairs, panels, strict=False):
        points = list(zip(values[one], values[other], strict=True))
        beaten, best = (
            [p for p, is_best in zip(points, on_front, strict=True) if is_best == which] for which in (0, 1)
        )
        axes.plot(*_transposed(beaten), "o", color=SOFT, markersize=4, label="beaten")
        axes.plot(*_transposed(best), "D", color=BLUE, markersize=5.5, label="not beaten", zorder=3)
        if len(values) == 2:
            axes.step(*_transposed(sorted(best)), where="post" if minimise[other] == minimise[one] else "pre",
                      color=BLUE, linewidth=0.9, zorder=2)  # fmt: skip
        for number, point in zip(
            [n for n, is_best in zip(numbers, on_front, strict=True) if is_best], best, strict=True
        ):
            axes.annotate(
                f"{number}", point, (5, 4), textcoords="offset points", size=7, color=INK, annotation_clip=True
            )  # fmt: skip
        axes.set(xlabel=_label(one, minimise), ylabel=_label(other, minimise))
        x, y = _transposed(best)
        axes.set(xlim=_limits(values[one], x, minimise[one]), ylim=_limits(values[other], y, minimise[other]))
        axes.grid()
        axes.tick_params(length=0)
    for unused in panels:
        unused.set_axis_off()
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def _transposed(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _limits(values: Sequence[float], front: Sequence[float], minimise: bool) -> tuple[float, float]:
    """Limits that leave out values far beyond the others, but none of the front."""
    low, high = value_limits(values, minimise)
    inside = [value for value in values if low <= value <= high]
    return value_limits([min([*inside, *front], default=low), max([*inside, *front], default=high)], minimise)


def _label(name: str, minimise: Mapping[str, bool]) -> str:
    return f"{name}, {'lower' if minimise[name] else 'higher'} is better"
