"""The confusion matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pixelbayes.metrics.classification import Classification
from pixelbayes.plots.layout import fit_figure
from pixelbayes.plots.style import FAINT, INK, styled

SHADES = LinearSegmentedColormap.from_list("white to dark blue", ["#ffffff", "#a9cde5", "#0072b2", "#00304d"])
TICKS = [0, 0.01, 0.1, 0.25, 0.5, 1]  # of the colour bar; its scale is a square root, which makes rare errors visible
MAX_CLASSES_WITH_COUNTS = 20  # with more classes a count does not fit its cell
MAX_CLASSES_SLANTED = 10  # with more classes the names below the matrix are vertical


@styled
def confusion_matrix(classification: Classification, class_names: Sequence[str] | None = None) -> Figure:
    """True classes in rows and predicted classes in columns. A cell shows the count, its shade the share of the row.

    Args:
        classification: The result; the counts are omitted for more than MAX_CLASSES_WITH_COUNTS classes.
        class_names: Y names that replace its own, such as shorter ones.
    """
    names = list(classification.per_class if class_names is None else class_names)
    counts = np.array(classification.confusion)  # (Y, Y)
    if len(names) != len(counts):
        raise ValueError(f"{len(names)} class names for {len(counts)} classes")
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)  # (Y, Y), rows sum to 1 or 0
    cell = round(min(112, max(18, 1100 / len(names))))  # image pixels
    size = cell * len(names)

    figure = Figure()
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap=SHADES, norm=PowerNorm(0.5, 0, 1), aspect="auto", interpolation="none")
    axes.spines[:].set_visible(True)
    _label_axes(axes, names, label_size=min(9, 0.3 * cell))
    if len(names) <= MAX_CLASSES_WITH_COUNTS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.3 else INK if count else FAINT
            axes.text(
                column, row, f"{count}", color=colour, ha="center", va="center_baseline", size=min(9, 0.15 * cell)
            )
    bar = axes.inset_axes((1 + 24 / size, 0, 16 / size, 1))
    figure.colorbar(image, cax=bar, ticks=TICKS, format=PercentFormatter(1), label="share of the true class")
    bar.spines[:].set_edgecolor(FAINT)
    bar.tick_params(length=0)
    fit_figure(figure, axes, size, size)
    return figure


def _label_axes(axes: Axes, names: list[str], label_size: float) -> None:
    slanted = len(names) <= MAX_CLASSES_SLANTED
    axes.set_xticks(
        range(len(names)),
        names,
        rotation=35 if slanted else 90,
        rotation_mode="anchor",
        ha="right",
        va="top" if slanted else "center",
    )
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, labelsize=label_size, labelcolor=INK)
    axes.set(xlabel="predicted class", ylabel="true class")
