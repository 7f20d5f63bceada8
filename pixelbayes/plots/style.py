"""The style of all figures, and their conversion to files. The colours are those of Okabe and Ito (2008)."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib.style
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from pixelbayes.images.pixels import requantise
from pixelbayes.utils.files import replacing

INK, QUIET, SOFT, FAINT, PALE = "#1f2328", "#6b7280", "#9aa3ad", "#d5d9de", "#f0f2f4"
BLUE, VERMILLION = "#0072b2", "#d55e00"  # distinguishable with every kind of colour vision; never the only cue
WHITE = "#ffffff"
SHADES = ("#b5d3e8", "#82b6da", "#4a96c7", "#1a73ad", "#00466f")  # of an ordered quantity, in increasing order

DARK = {  # light scheme -> dark scheme
    INK: "#e7e9ec",
    QUIET: "#a3acb7",
    SOFT: "#77808b",
    FAINT: "#3a424c",
    PALE: "#272d35",
    BLUE: "#5fb4ea",
    VERMILLION: "#ff8f4a",
    WHITE: "#1c2026",
    **dict(zip(SHADES, ("#2b4c66", "#386a90", "#4a8ebf", "#74bbec", "#c4e6fd"), strict=True)),
}

DPI = 192  # two image pixels per CSS pixel (1/96 inch), for high-resolution screens

STYLE = {
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "savefig.dpi": DPI,
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",  # text stays text, so that it can be searched and set in another typeface
    "svg.hashsalt": "pixelbayes",  # makes the bytes of a file reproducible
    "text.color": INK,
    "text.parse_math": False,  # because a class may be called "$5"
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


@contextmanager
def style_context() -> Iterator[None]:
    """The style, for a `with` block. The user's matplotlibrc has no effect on it.

    A letter that matplotlib's font lacks, such as one of a Chinese class name, is a box in a PNG. In an SVG, which the
    report shows, it is text in the reader's own fonts.
    """
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorator that runs a drawing function in the style."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with style_context():
            return draw(*args, **kwargs)

    return wrapper


def to_png(figure: Figure) -> bytes:
    """The figure as PNG. Equal figures give equal bytes."""
    buffer = BytesIO()
    with style_context():  # ticks are created, and styled, while the figure is drawn
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure) -> str:
    """The figure as SVG, with text as text. Equal figures give equal strings."""
    buffer = StringIO()
    with style_context():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def adaptive(svg: str, font_family: str) -> str:
    """Makes an SVG from `to_svg` follow the reader's colour scheme, light or dark, and sets its typeface.

    Each colour of the style becomes a custom property, whose value depends on `prefers-color-scheme`. The pixels of
    images do not change; see `contains_image`.

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


def contains_image(svg: str) -> bool:
    """Whether an SVG contains the pixels of an image, which are meant to be seen on white."""
    return "<image" in svg


def save_figure(figure: Figure, path: str | Path) -> None:
    """Writes the figure as PNG or SVG, depending on the suffix of the path.

    Raises:
        ValueError: If the suffix is another one.
    """
    writers: dict[str, Callable[[], bytes]] = {
        ".png": lambda: to_png(figure),
        ".svg": lambda: to_svg(figure).encode(),
    }
    suffix = Path(path).suffix
    if suffix not in writers:
        raise ValueError(f"{path}: expected a name that ends in {' or '.join(writers)}")
    with replacing(path) as temporary:
        temporary.write_bytes(writers[suffix]())


def to_rgb(pixels: Tensor, levels: int) -> NDArray[Any]:
    """Converts levels, uint8 (..., C, H, W), to colours, uint8 (..., H, W, 3) in 0 .. 255; C is 1 (grey) or 3."""
    channels = pixels.shape[-3]
    if channels not in (1, 3):
        raise ValueError(f"pixels have shape {tuple(pixels.shape)}, expected 1 or 3 channels")
    rgb = requantise(pixels, levels, 256).movedim(-3, -1)
    return rgb.expand(*rgb.shape[:-1], 3).cpu().numpy()
