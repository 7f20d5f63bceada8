"""Fusions: ways to condition the network on the label. `FUSIONS` lists them; `fusion_maker` makes one from its name."""

from pixelbayes.models.fusion.base import NO_LABEL, Condition, Fusion, FusionShape
from pixelbayes.models.fusion.composition import Composition
from pixelbayes.models.fusion.registry import FUSIONS, fusion_maker, is_late
from pixelbayes.models.fusion.view import ViewFiLM

__all__ = [
    "FUSIONS",
    "NO_LABEL",
    "Composition",
    "Condition",
    "Fusion",
    "FusionShape",
    "ViewFiLM",
    "fusion_maker",
    "is_late",
]
