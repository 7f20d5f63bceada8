"""How all figures look, and how they become files: quiet ink on white, colours from Okabe and Ito (2008)."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from io import BytesIO, StringIO
from pathlib import Path
from typing import ParamSpec

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.images.pixels import requantise
from pixelbayes.utils.files import replacing

INK, QUIET, SOFT, FAINT, PALE = "#1f2328", "#6b7280", "#9aa3ad", "#d5d9de", "#f0f2f4"
BLUE, VERMILLION = "#0072b2", "#d55e00"  # told apart by every kind of colour vision; never the only sign
WHITE = "#ffffff"

DARK = {  # light colour -> the same on dark paper
    INK: "#e7e9ec",
    QUIET: "#a3acb7",
    SOFT: "#77808b",
    FAINT: "#3a424c",
    PALE: "#272d35",
    BLUE: "#5fb4ea",
    VERMILLION: "#ff8f4a",
    WHITE: "#1c2026",
}

DPI = 192  # two image pixels for each CSS pixel (1/96 inch): sharp on any screen

STYLE = {
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "savefig.dpi": DPI,
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",  # words stay words, to be searched and set in another typeface
    "svg.hashsalt": "pixelbayes",  # the same figure gives the same bytes
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


def to_svg(figure: Figure) -> str:
    """The figure as an SVG, text as text; the same figure gives the same words."""
    buffer = StringIO()
    with quiet():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def adaptive(svg: str, font_family: str) -> str:
    """A drawing by `to_svg` that follows its reader's scheme, light or dark, and is set in another typeface.

    Each colour of the style becomes a custom property whose value `prefers-color-scheme` decides. Shades inside an
    image would stay as they are: see `holds_image`.

    >>> adaptive('<svg><defs/><path style="fill: #1f2328"/></svg>', "serif").endswith('fill: var(--c1f2328)"/></svg>')
    True
    """
    light, dark = (
        "".join(f"--c{name[1:]}: {colour}; " for name, colour in colours.items())
        for colours in ({name: name for name in DARK}, DARK)
    )
    rules = (
        f"<style>:root {{ {light}}} @media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }} "
        f"text {{ font-family: {font_family} !important; }}</style>"
    )
    drawn = re.sub("|".join(DARK), lambda found: f"var(--c{found[0][1:]})", svg)
    return drawn.replace("<defs", rules + "<defs", 1)


def holds_image(svg: str) -> bool:
    """Whether pixels are part of the drawing, whose shades are meant to be read on white."""
    return "<image" in svg


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes the figure as a PNG or an SVG, as the suffix says; the file is whole or not there."""
    writers: dict[str, Callable[[], bytes]] = {
        ".png": lambda: to_png(figure),
        ".svg": lambda: to_svg(figure).encode(),
    }
    suffix = Path(path).suffix
    if suffix not in writers:
        raise ValueError(f"{path}: expected a name that ends in {' or '.join(writers)}")
    with replacing(path) as temporary:
        temporary.write_bytes(writers[suffix]())


def to_rgb(pixels: Tensor, levels: int) -> np.ndarray:
    """uint8 levels (..., C, H, W) to uint8 (..., H, W, 3) in 0 .. 255; one colour is shown as grey."""
    channels = pixels.shape[-3]
    if channels not in (1, 3):
        raise ValueError(f"pixels have shape {tuple(pixels.shape)}, expected 1 or 3 channels to show")
    rgb = requantise(pixels, levels, 256).movedim(-3, -1)
    return rgb.expand(*rgb.shape[:-1], 3).cpu().numpy()
