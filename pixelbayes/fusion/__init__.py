"""Ways to feed the label into the network; `FUSIONS` names them."""

from pixelbayes.fusion.base import NO_LABEL, Condition, Fusion, FusionShape
from pixelbayes.fusion.block import FiLM, GateAdd
from pixelbayes.fusion.input import InputAdd

FUSIONS: dict[str, type[Fusion]] = {
    "none": Fusion,  # unconditional: the label is not read
    "input-add": InputAdd,
    "gate-add": GateAdd,
    "film": FiLM,
}

__all__ = ["FUSIONS", "NO_LABEL", "Condition", "Fusion", "FusionShape"]
