"""Heat maps of the log-likelihood ratio of two classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pixelbayes.evaluation.explanation import Explanation
from pixelbayes.plots.layout import MARGIN, Sheet, shorten, text_width
from pixelbayes.plots.posteriors import format_probability
from pixelbayes.plots.style import BLUE, FAINT, QUIET, VERMILLION, styled, to_rgb

COLOURS = LinearSegmentedColormap.from_list("vermillion to blue", [VERMILLION, "#ffffff", BLUE])
LEGEND = "evidence of a pixel in nats: ← for the second class, for the first →"
IMAGE_SIZE = 224  # desired size of an image, in image pixels like all lengths below
TITLE, IMAGE_GAP, GAP = 76, 16, 48  # room for two lines of title; between the two images of a cell; between cells
BAR, FOOT = 20, 108  # height of the colour bar; height of everything below the cells
FULL_COLOUR = 99.5  # percentile of |ratio| that has the full colour, so that a single pixel does not fade all others


@styled
def explanations(found: Sequence[Explanation], levels: int, class_names: Sequence[str]) -> Figure:
    """Images, each next to its log-likelihood ratio as an overlay. Blue is evidence for the class named first.

    All images share one colour scale, so a faint map means that the two classes hardly differ on the image.

    Args:
        found: Results of `explain`, at least one.
        levels: Number of values a colour can take.
        class_names: Y names.

    Raises:
        ValueError: If there is no explanation.
    """
    if not found:
        raise ValueError("no explanation, expected one or more")
    scale = max(float(np.percentile(np.abs([one.ratio.numpy() for one in found]), FULL_COLOUR)), 1e-9)
    height, width = found[0].ratio.shape
    zoom = max(1, round(IMAGE_SIZE / max(height, width)))
    height, width = zoom * height, zoom * width
    titles = [_title(one, class_names) for one in found]
    heads, tails = ([title[line] for title in titles] for line in (0, 1))
    across = 1 if len(found) < 4 else 2
    below = [LEGEND] if across == 1 else []
    sheet = Sheet(
        len(found),
        across=across,
        width=max(2 * width + IMAGE_GAP, text_width(heads, weight="bold"), text_width([*tails, *below], size=8)),
        height=TITLE + height,
        gap=GAP,
        foot=FOOT,
    )
    for i, one in enumerate(found):
        rgb = to_rgb(one.pixels, levels)  # (H, W, 3)
        left = sheet.axes(i, 0, TITLE, width, height)
        left.imshow(rgb, interpolation="none")
        right = sheet.axes(i, width + IMAGE_GAP, TITLE, width, height)
        right.imshow(_overlay(rgb, one.ratio.numpy() / scale), interpolation="none")
        for axes in (left, right):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color=FAINT)
        left.set_title(heads[i], weight="bold", color=BLUE if one.nats >= 0 else VERMILLION, pad=20)
        left.annotate(
            tails[i], (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", size=8, color=QUIET
        )
    _draw_colour_bar(sheet, scale)
    return sheet.figure


def _title(one: Explanation, class_names: Sequence[str]) -> tuple[str, str]:
    label, other = (shorten(class_names[c]) for c in (one.label, one.other))
    p, q = (format_probability(probability) for probability in one.probabilities)
    return f"{label} rather than {other}: {one.nats:+.1f} nats", f"p({label} | x): {p}, p({other} | x): {q}"


def _overlay(rgb: NDArray[Any], strength: NDArray[Any]) -> NDArray[Any]:
    """The image in pale grey; the larger |strength| of a pixel, the more it is coloured, fully from 1."""
    grey = 0.78 + 0.22 * (rgb @ (0.299, 0.587, 0.114))[..., None] / 255  # (H, W, 1)
    opacity = np.clip(np.abs(strength), 0, 1)[..., None]
    colour = np.asarray(COLOURS(np.where(strength > 0, 1.0, 0.0)))[..., :3]
    blended: NDArray[Any] = (1 - opacity) * grey + opacity * colour
    return blended


def _draw_colour_bar(sheet: Sheet, scale: float) -> None:
    box = MARGIN / sheet.width, (FOOT - BAR) / sheet.height, 1 - 2 * MARGIN / sheet.width, BAR / sheet.height
    axes = sheet.figure.add_axes(box)
    bar = sheet.figure.colorbar(
        ScalarMappable(Normalize(-scale, scale), COLOURS), cax=axes, orientation="horizontal", extend="both"
    )
    bar.outline.set_edgecolor(FAINT)
    axes.tick_params(length=0)
    axes.set_xlabel(LEGEND, size=8)
