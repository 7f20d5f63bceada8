"""Plots. Each function returns a matplotlib `Figure` and leaves the global state of pyplot unchanged."""

from pixelbayes.plots.augmented import augmentations
from pixelbayes.plots.confusion import confusion_matrix
from pixelbayes.plots.cosines import cosine_map
from pixelbayes.plots.curves import curves
from pixelbayes.plots.explanation import explanations
from pixelbayes.plots.grid import image_grid
from pixelbayes.plots.learning_curves import learning_curves
from pixelbayes.plots.neighbours import nearest_neighbours
from pixelbayes.plots.optimization_history import optimization_history
from pixelbayes.plots.overlay import overlaid_curves
from pixelbayes.plots.overview import Overview, select_examples
from pixelbayes.plots.parallel_coordinates import parallel_coordinates
from pixelbayes.plots.parameter_importance import parameter_importance
from pixelbayes.plots.parameter_slice import parameter_slice
from pixelbayes.plots.pareto_front import pareto_front
from pixelbayes.plots.posteriors import posteriors
from pixelbayes.plots.quality import quality_curves
from pixelbayes.plots.range_test import range_test
from pixelbayes.plots.registry import PLOTS, Plot, plots_of
from pixelbayes.plots.reliability import reliability
from pixelbayes.plots.risk_coverage import risk_coverage
from pixelbayes.plots.separation import separation
from pixelbayes.plots.style import save_figure, to_png, to_svg
from pixelbayes.plots.trial_timeline import Bar, trial_timeline

__all__ = [
    "PLOTS",
    "Bar",
    "Overview",
    "Plot",
    "augmentations",
    "confusion_matrix",
    "cosine_map",
    "curves",
    "explanations",
    "image_grid",
    "learning_curves",
    "nearest_neighbours",
    "optimization_history",
    "overlaid_curves",
    "parallel_coordinates",
    "parameter_importance",
    "parameter_slice",
    "pareto_front",
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
    "trial_timeline",
]
