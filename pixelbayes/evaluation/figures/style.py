"""How all figures look, and how they become files: quiet ink on white, colours from Okabe and Ito (2008)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import ParamSpec

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.files import replacing
from pixelbayes.pixels import requantise

INK, QUIET, SOFT, FAINT, PALE = "#1f2328", "#6b7280", "#9aa3ad", "#d5d9de", "#f0f2f4"
BLUE, VERMILLION = "#0072b2", "#d55e00"  # told apart by every kind of colour vision; never the only sign

DPI = 192  # two image pixels for each CSS pixel (1/96 inch): sharp on any screen

STYLE = {
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "savefig.dpi": DPI,
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5"
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
}

P = ParamSpec("P")


def quiet() -> AbstractContextManager[None]:
    """The style, for the length of a `with` block and independent of the user's matplotlibrc."""
    return matplotlib.style.context(["default", STYLE])


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Runs a drawing function in the style."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with quiet():
            return draw(*args, **kwargs)

    return wrapper


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG of `DPI`; the same figure gives the same bytes."""
    buffer = BytesIO()
    with quiet():  # ticks are made while drawing, and take their style then
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes the figure as a PNG that is whole or not there."""
    with replacing(path) as temporary:
        temporary.write_bytes(to_png(figure))


def to_rgb(pixels: Tensor, levels: int) -> np.ndarray:
    """uint8 levels (..., C, H, W) to uint8 (..., H, W, 3) in 0 .. 255; one colour is shown as grey."""
    channels = pixels.shape[-3]
    if channels not in (1, 3):
        raise ValueError(f"pixels have shape {tuple(pixels.shape)}, expected 1 or 3 channels to show")
    rgb = requantise(pixels, levels, 256).movedim(-3, -1)
    return rgb.expand(*rgb.shape[:-1], 3).cpu().numpy()
