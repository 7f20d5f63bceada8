"""Sample quality during training."""

from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pixelbayes.plots.curves import History, label_epochs, series_of
from pixelbayes.plots.style import BLUE, QUIET, SOFT, styled

PANELS = {"FID": "quality/fid", "KID": "quality/kid"}  # axis label -> name in the history
MAX_NAMES = 12  # classes up to which each line has a label
LINE_HEIGHT = 0.055  # height of a label, as a fraction of the panel


@styled
def quality_curves(history: History) -> Figure:
    """FID and KID by epoch, of all samples and of each class. Metrics that were never measured are left out.

    Args:
        history: The rows of the history; the value of a class is named "quality/fid/NAME".

    Raises:
        ValueError: If neither metric was measured.
    """
    panels = {title: metric for title, metric in PANELS.items() if series_of(history, metric)[0]}
    if not panels:
        raise ValueError(f"the history contains none of {', '.join(PANELS.values())}")
    figure = Figure(figsize=(7.2, 0.5 + 2.6 * len(panels)), layout="constrained")
    column = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    epochs: list[int] = []
    for axes, (title, metric) in zip(column, panels.items(), strict=True):
        epochs += _draw_panel(axes, history, metric)
        axes.set_ylabel(title)
    label_epochs(column[-1], epochs)
    figure.align_ylabels()
    return figure


def _draw_panel(axes: Axes, history: History, metric: str) -> list[int]:
    """Draws one line per class and a bold one for all samples; returns the epochs."""
    prefix = f"{metric}/"
    names = dict.fromkeys(name for row in history for name in row if name.startswith(prefix))
    classes = {name.removeprefix(prefix): series for name in names if (series := series_of(history, name))[0]}
    for at, values in classes.values():
        axes.plot(at, values, color=SOFT, linewidth=0.9, marker=".", markersize=4)
    epochs, values = series_of(history, metric)
    axes.plot(epochs, values, color=BLUE, marker="o", markersize=4, label="all samples")
    axes.grid(axis="y")
    axes.tick_params(length=0)
    if classes:
        axes.plot([], [], color=SOFT, linewidth=0.9, label="each class")
        axes.legend(loc="best")
    if len(classes) <= MAX_NAMES:
        low, high = axes.get_ylim()
        ends = [values[-1] for _, values in classes.values()]
        for name, height in zip(classes, spread(ends, LINE_HEIGHT * (high - low)), strict=True):
            axes.text(1.01, height, name, transform=axes.get_yaxis_transform(), va="center", size=7, color=QUIET)
        axes.set_ylim(low, high)
    return epochs


def spread(heights: list[float], gap: float) -> list[float]:
    """Moves heights up by as little as possible, so that any two differ by at least `gap`.

    >>> spread([3.0, 1.0, 1.5], gap=1.0)
    [3.0, 1.0, 2.0]
    """
    moved = list(heights)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    return moved
