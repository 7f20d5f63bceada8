"""How far the images of one data set score from those of another."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.metrics.ood import auroc
from pixelbayes.plots.style import BLUE, QUIET, VERMILLION, styled

BINS = 40


@styled
def separation(inside: Mapping[str, Tensor], outside: Mapping[str, Tensor], names: tuple[str, str]) -> Figure:
    """Histograms of both sets by each score, in bits per dimension; higher is less like training.

    The title says how often an image from outside scores higher than one from inside: 1 is told apart, 0.5 is not, and
    below 0.5 the network finds the other images the more likely ones.

    Args:
        inside: Score -> values of the images like those of training, (n,); see `outlier_scores`.
        outside: The same of the others, (m,).
        names: What to call the two.
    """
    figure = Figure(figsize=(6.4, 0.6 + 1.9 * len(inside)), layout="constrained")
    column = figure.subplots(len(inside), 1, squeeze=False)[:, 0]
    for axes, (score, values) in zip(column, inside.items(), strict=True):
        found = auroc(values, outside[score])
        low, high = found.auroc_interval
        axes.set_title(f"{score}: AUROC {found.auroc:.3f}, 95% interval {low:.3f} to {high:.3f}")
        _histograms(axes, values.numpy(), outside[score].numpy(), names)
    column[-1].set_xlabel("bits per dimension")
    figure.legend(*column[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _histograms(axes: Axes, inside: np.ndarray, outside: np.ndarray, names: tuple[str, str]) -> None:
    """Both on the same edges, as shares of their set."""
    edges = np.histogram_bin_edges(np.concatenate([inside, outside]), BINS)
    for values, name, colour, hatch in ((inside, names[0], BLUE, ""), (outside, names[1], VERMILLION, "//")):
        shares = np.histogram(values, edges)[0] / len(values)
        axes.stairs(shares, edges, fill=True, facecolor=colour, alpha=0.22, linewidth=0)
        axes.stairs(shares, edges, color=colour, linewidth=1.4, label=f"{name} (n = {len(values):,})", hatch=hatch)
    axes.set(yticks=[], ylabel="share")
    axes.yaxis.label.set_color(QUIET)
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
