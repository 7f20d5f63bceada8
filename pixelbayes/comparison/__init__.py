"""Several ways to feed in the label, or whole presets, trained on the same data with the same budget: one table."""

from pixelbayes.comparison.comparing import compare
from pixelbayes.comparison.contenders import BASELINE, Contender, contenders
from pixelbayes.comparison.rows import Row

__all__ = ["BASELINE", "Contender", "Row", "compare", "contenders"]
