"""Histograms of out-of-distribution scores."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from pixelbayes.metrics.ood import auroc
from pixelbayes.plots.style import BLUE, QUIET, VERMILLION, styled

BINS = 40


@styled
def separation(in_distribution: Mapping[str, Tensor], ood: Mapping[str, Tensor], names: tuple[str, str]) -> Figure:
    """Histograms of each score of two sets of images, in bits per dimension.

    The title gives the AUROC: the probability that an out-of-distribution image has a higher score than an
    in-distribution image. It is 1 for perfect separation and 0.5 for none. Below 0.5, the network assigns a higher
    likelihood to the out-of-distribution images.

    Args:
        in_distribution: Values of each score for images like the training images, (n,); see `ood_scores`.
        ood: The same for out-of-distribution images, (m,).
        names: Names of the two sets.
    """
    figure = Figure(figsize=(6.4, 0.6 + 1.9 * len(in_distribution)), layout="constrained")
    column = figure.subplots(len(in_distribution), 1, squeeze=False)[:, 0]
    for axes, (score, values) in zip(column, in_distribution.items(), strict=True):
        found = auroc(values, ood[score])
        low, high = found.auroc_interval
        axes.set_title(f"{score}: AUROC {found.auroc:.3f}, 95% interval {low:.3f} to {high:.3f}")
        _draw_histograms(axes, (values.numpy(), ood[score].numpy()), names)
    column[-1].set_xlabel("bits per dimension")
    figure.legend(*column[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _draw_histograms(axes: Axes, sets: tuple[NDArray[Any], NDArray[Any]], names: tuple[str, str]) -> None:
    """Draws both sets with the same bins, as shares of their set."""
    edges = np.histogram_bin_edges(np.concatenate(sets), BINS)
    for values, name, colour, hatch in zip(sets, names, (BLUE, VERMILLION), ("", "//"), strict=True):
        shares = np.histogram(values, edges)[0] / len(values)
        axes.stairs(shares, edges, fill=True, facecolor=colour, alpha=0.22, linewidth=0)
        axes.stairs(shares, edges, color=colour, linewidth=1.4, label=f"{name} (n = {len(values):,})", hatch=hatch)
    axes.set(yticks=[], ylabel="share")
    axes.yaxis.label.set_color(QUIET)
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
