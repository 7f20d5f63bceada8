"""Several ways to feed in the label, or whole presets, trained on the same data with the same budget: one table."""

from pixelbayes.experiments.compare.compare import compare
from pixelbayes.experiments.compare.entries import BASELINE, Contender, contenders
from pixelbayes.experiments.compare.rows import Row

__all__ = ["BASELINE", "Contender", "Row", "compare", "contenders"]
