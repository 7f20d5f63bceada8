"""Trains several fusions, presets or the dedicated classifier on the same data, and compares them in one table."""

from pixelbayes.experiments.compare.compare import compare
from pixelbayes.experiments.compare.entries import BASELINE, Entry, make_entries
from pixelbayes.experiments.compare.rows import Row

__all__ = ["BASELINE", "Entry", "Row", "compare", "make_entries"]
