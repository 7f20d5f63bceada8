"""Cosine similarities of class embeddings."""

from collections.abc import Sequence

import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.plots.style import INK, styled

MAX_CLASSES_WITH_NUMBERS = 12


@styled
def cosine_map(vectors: Tensor, class_names: Sequence[str]) -> Figure:
    """Heat map of the cosine similarity of every two class embeddings.

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
    positions = range(len(class_names))
    axes.set_xticks(positions, class_names, rotation=90 if max(map(len, class_names)) > 2 else 0)
    axes.set_yticks(positions, class_names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(class_names) <= MAX_CLASSES_WITH_NUMBERS:
        for i in positions:
            for j in positions:
                colour = "white" if abs(cosines[i, j]) > 0.6 else INK
                axes.text(j, i, f"{cosines[i, j]:.2f}", ha="center", va="center", size=6, color=colour)
    figure.colorbar(image, ax=axes, label="cosine similarity", shrink=0.8).outline.set_visible(False)
    return figure
