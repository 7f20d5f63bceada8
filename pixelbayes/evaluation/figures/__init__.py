"""Pictures of a run; each function returns a matplotlib `Figure`, and pyplot's global state is never touched."""

from pixelbayes.evaluation.figures.augmented import augmentations
from pixelbayes.evaluation.figures.confusion import confusion_matrix
from pixelbayes.evaluation.figures.cosines import cosine_map
from pixelbayes.evaluation.figures.curves import curves
from pixelbayes.evaluation.figures.explanation import explanations
from pixelbayes.evaluation.figures.grid import image_grid
from pixelbayes.evaluation.figures.overlay import overlaid_curves
from pixelbayes.evaluation.figures.posteriors import posteriors
from pixelbayes.evaluation.figures.reliability import reliability
from pixelbayes.evaluation.figures.risk_coverage import risk_coverage
from pixelbayes.evaluation.figures.separation import separation
from pixelbayes.evaluation.figures.style import save_figure, to_png

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
