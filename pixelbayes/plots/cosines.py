"""How alike classes are to the network."""

from collections.abc import Sequence

import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.plots.style import INK, styled

MOST_NUMBERS = 12  # classes up to which each cosine is written


@styled
def cosine_map(vectors: Tensor, class_names: Sequence[str]) -> Figure:
    """Cosines between the vectors that stand for classes, as a heat map.

    Args:
        vectors: (Y, D).
        class_names: Y names.
    """
    unit = F.normalize(vectors.double(), dim=1)
    cosines = (unit @ unit.T).cpu().numpy()  # (Y, Y)
    side = min(8.0, max(3.2, 0.45 * len(class_names) + 1.6))
    figure = Figure(figsize=(side, side * 0.88), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(cosines, cmap="RdBu_r", vmin=-1, vmax=1)
    places = range(len(class_names))
    axes.set_xticks(places, class_names, rotation=90 if max(map(len, class_names)) > 2 else 0)
    axes.set_yticks(places, class_names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(class_names) <= MOST_NUMBERS:
        for i in places:
            for j in places:
                colour = "white" if abs(cosines[i, j]) > 0.6 else INK
                axes.text(j, i, f"{cosines[i, j]:.2f}", ha="center", va="center", size=6, color=colour)
    figure.colorbar(image, ax=axes, label="cosine", shrink=0.8).outline.set_visible(False)
    return figure
