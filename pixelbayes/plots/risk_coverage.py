"""The risk-coverage curve of selective classification."""

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pixelbayes.metrics.selective import COVERAGES, RiskCoverage
from pixelbayes.plots.style import BLUE, QUIET, SOFT, styled


@styled
def risk_coverage(curve: RiskCoverage) -> Figure:
    """Accuracy among the most confident images, by their share of all images.

    At the right, all images are classified. The dashed line is the accuracy of a random order, the dotted line that of
    an order in which all errors come last.

    Args:
        curve: The curve.
    """
    coverage, accuracy = curve.coverage.numpy(), curve.accuracy.numpy()
    overall = accuracy[-1]
    figure = Figure(figsize=(5.6, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(overall, color=SOFT, linewidth=0.8, linestyle=(0, (3, 3)), zorder=1)
    axes.plot(coverage, (overall / coverage).clip(max=1), color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    axes.plot(coverage, accuracy, color=BLUE, marker="." if len(coverage) < 3 else "")
    lowest = min(overall, accuracy.min())
    for share in (*COVERAGES, 1.0):
        value = curve.accuracy_at(share)
        axes.plot(share, value, "o", color=BLUE, markersize=4.5, clip_on=False, zorder=3)
        axes.annotate(
            f"{value:.3f}", (share, value), (-4, -11), textcoords="offset points", ha="right", size=8, color=QUIET
        )
    margin = max(0.001, 0.2 * (1 - lowest))
    axes.set(xlim=(0, 1), ylim=(max(0, lowest - margin), 1 + 0.03 * (1 - lowest)))
    axes.set(xlabel="coverage: share of the images that are classified, most confident first", ylabel="accuracy")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_title(f"area under the risk-coverage curve {curve.aurc:.4f}")
    axes.grid(axis="y")
    axes.tick_params(length=0)
    return figure
