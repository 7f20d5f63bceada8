"""How much each parameter of a sweep matters."""

from collections.abc import Collection, Mapping

from matplotlib.figure import Figure

from pixelbayes.plots.layout import shorten_middle
from pixelbayes.plots.style import BLUE, FAINT, INK, SOFT, styled


@styled
def parameter_importance(importance: Mapping[str, tuple[float, float]], without_effect: Collection[str] = ()) -> Figure:
    """A bar for each parameter, the most important one first, and a mark at what luck gives.

    Args:
        importance: Share of each parameter, and the one that shuffled results give in 95 of 100 cases at most.
        without_effect: Parameters that change nothing; their bars are hatched.
    """
    ordered = dict(sorted(importance.items(), key=lambda item: item[1][0], reverse=True))
    figure = Figure(figsize=(7.2, 0.9 + 0.3 * max(len(ordered), 1)), layout="constrained")
    axes = figure.add_subplot(xlabel="share of the importance (PED-ANOVA)")
    handles = {}
    for place, (name, (share, by_luck)) in enumerate(ordered.items()):
        is_real = name not in without_effect
        bar = axes.barh(
            place, share, height=0.62, facecolor=BLUE if is_real else "none", edgecolor=BLUE if is_real else SOFT,
            hatch="" if is_real else "////", linewidth=0.8,
        )  # fmt: skip
        handles["importance" if is_real else "of a column without effect"] = bar[0]
        (mark,) = axes.plot([by_luck, by_luck], [place - 0.42, place + 0.42], color=INK, linewidth=1.8)
        handles["luck, at most in 95 of 100 cases"] = mark
    axes.set_yticks(range(len(ordered)), [shorten_middle(name, 40) for name in ordered])
    axes.set_ylim(max(len(ordered), 1) - 0.4, -0.6)
    axes.set_xlim(0, 1.05 * max([*(max(pair) for pair in ordered.values()), 0.1]))
    axes.grid(axis="x", color=FAINT)
    axes.tick_params(length=0)
    if handles:
        figure.legend(handles.values(), handles, loc="outside upper left", ncols=len(handles))
    return figure
