"""Which pixels spoke for the one class, and which for the other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from pixelbayes.evaluation.explanation import Explanation
from pixelbayes.plots.layout import MARGIN, Sheet, shorten, text_width
from pixelbayes.plots.posteriors import three_places
from pixelbayes.plots.style import BLUE, FAINT, QUIET, VERMILLION, styled, to_rgb

SIDES = LinearSegmentedColormap.from_list("vermillion to blue", [VERMILLION, "#ffffff", BLUE])
MEANING = "nats of a pixel: ← for the second class, for the first →"
PICTURE = 224  # image pixels that a picture should take
TITLE, BETWEEN, GAP = 76, 16, 48  # room for two lines of title; white between the two pictures, and between images
KEY, FOOT = 20, 108  # height of the colour bar, and of all that stands below the pictures
STRONGEST = 99.5  # percentile of |ratio| that takes the full colour: one loud pixel should not silence all others


@styled
def explanations(found: Sequence[Explanation], levels: int, class_names: Sequence[str]) -> Figure:
    """Images, each beside its log-likelihood ratio laid over it: blue speaks for the class named first.

    One scale holds for all of them, so that a faint map is of an image the two classes hardly disagree on.

    Args:
        found: Made by `explain`; one or more.
        levels: Number of values a colour can take.
        class_names: Y names.

    Raises:
        ValueError: If there is nothing to show.
    """
    if not found:
        raise ValueError("no explanation, expected one or more")
    scale = max(float(np.percentile(np.abs([one.ratio.numpy() for one in found]), STRONGEST)), 1e-9)
    height, width = found[0].ratio.shape
    zoom = max(1, round(PICTURE / max(height, width)))
    height, width = zoom * height, zoom * width
    titles = [_title(one, class_names) for one in found]
    heads, tails = ([title[line] for title in titles] for line in (0, 1))
    across = 1 if len(found) < 4 else 2
    below = [MEANING] if across == 1 else []
    sheet = Sheet(
        len(found),
        across=across,
        width=max(2 * width + BETWEEN, text_width(heads, weight="bold"), text_width([*tails, *below], size=8)),
        height=TITLE + height,
        gap=GAP,
        foot=FOOT,
    )
    for i, one in enumerate(found):
        rgb = to_rgb(one.pixels, levels)  # (H, W, 3)
        left = sheet.axes(i, 0, TITLE, width, height)
        left.imshow(rgb, interpolation="none")
        right = sheet.axes(i, width + BETWEEN, TITLE, width, height)
        right.imshow(_overlay(rgb, one.ratio.numpy() / scale), interpolation="none")
        for axes in (left, right):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color=FAINT)
        left.set_title(heads[i], weight="bold", color=BLUE if one.nats >= 0 else VERMILLION, pad=20)
        left.annotate(
            tails[i], (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", size=8, color=QUIET
        )
    _key(sheet, scale)
    return sheet.figure


def _title(one: Explanation, class_names: Sequence[str]) -> tuple[str, str]:
    label, other = (shorten(class_names[c]) for c in (one.label, one.other))
    p, q = (three_places(probability) for probability in one.probabilities)
    return f"{label} rather than {other}: {one.nats:+.1f} nats", f"p({label} | x): {p}, p({other} | x): {q}"


def _overlay(rgb: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """The image as a pale grey, its pixels the more coloured the louder they speak; strength 1 is full colour."""
    grey = 0.78 + 0.22 * (rgb @ (0.299, 0.587, 0.114))[..., None] / 255  # (H, W, 1)
    opacity = np.clip(np.abs(strength), 0, 1)[..., None]
    colour: np.ndarray = SIDES(np.where(strength > 0, 1.0, 0.0))[..., :3]
    return (1 - opacity) * grey + opacity * colour


def _key(sheet: Sheet, scale: float) -> None:
    """The colour bar, along the foot."""
    box = MARGIN / sheet.width, (FOOT - KEY) / sheet.height, 1 - 2 * MARGIN / sheet.width, KEY / sheet.height
    axes = sheet.figure.add_axes(box)
    bar = sheet.figure.colorbar(
        ScalarMappable(Normalize(-scale, scale), SIDES), cax=axes, orientation="horizontal", extend="both"
    )
    bar.outline.set_edgecolor(FAINT)
    axes.tick_params(length=0)
    axes.set_xlabel(MEANING, size=8)
