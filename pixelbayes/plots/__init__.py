"""Pictures of a run; each function returns a matplotlib `Figure`, and pyplot's global state is never touched."""

from pixelbayes.plots.augmented import augmentations
from pixelbayes.plots.confusion import confusion_matrix
from pixelbayes.plots.cosines import cosine_map
from pixelbayes.plots.curves import curves
from pixelbayes.plots.explanation import explanations
from pixelbayes.plots.grid import image_grid
from pixelbayes.plots.overlay import overlaid_curves
from pixelbayes.plots.posteriors import posteriors
from pixelbayes.plots.reliability import reliability
from pixelbayes.plots.risk_coverage import risk_coverage
from pixelbayes.plots.separation import separation
from pixelbayes.plots.style import save_figure, to_png

__all__ = [
    "augmentations",
    "confusion_matrix",
    "cosine_map",
    "curves",
    "explanations",
    "image_grid",
    "overlaid_curves",
    "posteriors",
    "reliability",
    "risk_coverage",
    "save_figure",
    "separation",
    "to_png",
]
