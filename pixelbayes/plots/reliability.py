"""The reliability diagram."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pixelbayes.metrics.calibration import Calibration
from pixelbayes.plots.style import BLUE, QUIET, SOFT, VERMILLION, styled


@styled
def reliability(before: Calibration, after: Calibration | None = None, temperature: float | None = None) -> Figure:
    """Accuracy by confidence with 95% Wilson intervals, above a histogram of the confidence.

    Points on the diagonal are calibrated; below it the classifier is overconfident, above it underconfident. The title
    compares the expected calibration error with that of a perfectly calibrated classifier on as many images.

    Args:
        before: Calibration without temperature scaling.
        after: Calibration after temperature scaling, shown to the right.
        temperature: T of `after`.
    """
    panels = {"before, T = 1": (before, VERMILLION)} if after else {"": (before, BLUE)}
    if after:
        panels["after" if temperature is None else f"after, T = {temperature:.4g}"] = after, BLUE
    figure = Figure(figsize=(3.6 * len(panels) + 0.4, 5.4), layout="constrained")
    grid = figure.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False, height_ratios=(4, 1))
    for column, (title, (calibration, colour)) in enumerate(panels.items()):
        diagram, histogram = grid[:, column]
        _draw_diagram(diagram, title, calibration, colour)
        _draw_histogram(histogram, calibration, colour)
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("images")
    figure.supxlabel("confidence: the largest p(c | x)", color=QUIET, size=9)
    figure.align_ylabels()
    return figure


def _draw_diagram(axes: Axes, title: str, calibration: Calibration, colour: str) -> None:
    axes.plot((0, 1), (0, 1), color=SOFT, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
    for one in calibration.bins:
        axes.vlines(one.confidence, *one.accuracy_interval, color=colour, linewidth=1.2, alpha=0.55, clip_on=False)
    axes.plot(
        [one.confidence for one in calibration.bins],
        [one.accuracy for one in calibration.bins],
        "o",
        color=colour,
        markersize=4.5,
        clip_on=False,
        zorder=3,
    )
    expected, quantile = calibration.ece_if_calibrated, calibration.ece_if_calibrated_95
    verdict = "is rejected" if calibration.rejected else "is not rejected"
    lines = (
        f"ECE {calibration.ece:.3f}; if calibrated {expected:.3f}, 95% below {quantile:.3f}",
        f"calibration {verdict} ({_format_p_value(calibration.p_value)})",
    )
    axes.set_title(title, pad=8 + 12 * len(lines), weight="bold")
    for position, line in enumerate(reversed(lines)):
        axes.annotate(
            line,
            (0, 1),
            (0, 6 + 12 * position),
            xycoords="axes fraction",
            textcoords="offset points",
            size=7.5,
            color=QUIET,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.grid()
    axes.tick_params(length=0)


def _format_p_value(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.0015 else "p ≤ 0.001"


def _draw_histogram(axes: Axes, calibration: Calibration, colour: str) -> None:
    bins = calibration.bins
    width = bins[0].high - bins[0].low
    axes.bar(
        [one.low for one in bins], [one.count for one in bins], width * 0.86, align="edge", color=colour, alpha=0.55
    )
    axes.grid(axis="y")
    axes.tick_params(length=0)
