"""Plots. Each function returns a matplotlib `Figure` and leaves the global state of pyplot unchanged."""

from pixelbayes.plots.augmented import augmentations
from pixelbayes.plots.confusion import confusion_matrix
from pixelbayes.plots.cosines import cosine_map
from pixelbayes.plots.curves import curves
from pixelbayes.plots.explanation import explanations
from pixelbayes.plots.grid import image_grid
from pixelbayes.plots.neighbours import nearest_neighbours
from pixelbayes.plots.overlay import overlaid_curves
from pixelbayes.plots.overview import Overview, select_examples
from pixelbayes.plots.posteriors import posteriors
from pixelbayes.plots.quality import quality_curves
from pixelbayes.plots.range_test import range_test
from pixelbayes.plots.registry import PLOTS, Plot, plots_of
from pixelbayes.plots.reliability import reliability
from pixelbayes.plots.risk_coverage import risk_coverage
from pixelbayes.plots.separation import separation
from pixelbayes.plots.style import save_figure, to_png, to_svg

__all__ = [
    "PLOTS",
    "Overview",
    "Plot",
    "augmentations",
    "confusion_matrix",
    "cosine_map",
    "curves",
    "explanations",
    "image_grid",
    "nearest_neighbours",
    "overlaid_curves",
    "plots_of",
    "posteriors",
    "quality_curves",
    "range_test",
    "reliability",
    "risk_coverage",
    "save_figure",
    "select_examples",
    "separation",
    "to_png",
    "to_svg",
]
