"""Several runs in one picture."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib import colormaps
from matplotlib.figure import Figure

from pixelbayes.plots.style import styled

BITS = "bits per dimension"
PANELS = {  # axis label -> key of the history
    BITS: "val/bits_per_dim",
    "cross-entropy (nats)": "val/cross_entropy",
    "accuracy": "val/accuracy",
    "FID": "quality/fid",
}
DASHES = ("-", (0, (4, 2)), (0, (1, 1)))  # with ten colours, enough for thirty names
MOST_ABOVE = 6  # names in two lines above the panels; of more there is a column beside them

History = Sequence[Mapping[str, float]]


@styled
def overlaid_curves(histories: Mapping[str, Sequence[History]]) -> Figure:
    """What `PANELS` names by epoch, a line for each name: the mean over its runs.

    The axis of bits leaves out what lies far above the rest, so that the ends of the curves can be told apart.

    Args:
        histories: Name -> the histories of its runs, rows keyed "epoch" and as `PANELS` says.

    Raises:
        ValueError: If the histories hold none of these values.
    """
    measured = {title: _lines(histories, key) for title, key in PANELS.items()}
    measured = {title: lines for title, lines in measured.items() if lines}
    if not measured:
        raise ValueError(f"the histories hold none of {', '.join(PANELS.values())}")
    names = list(histories)
    figure = Figure(figsize=(8.0, 3.2 * len(measured)), layout="constrained")
    column = figure.subplots(len(measured), sharex=True, squeeze=False)[:, 0]
    labelled = {}
    for axes, (title, lines) in zip(column, measured.items(), strict=True):
        for name, (epochs, values) in lines.items():
            i = names.index(name)
            style = {"color": colormaps["tab10"](i % 10), "linestyle": DASHES[i // 10 % len(DASHES)]}
            (labelled[name],) = axes.plot(epochs, values, marker="." if len(values) < 3 else "", **style)
        axes.set_ylabel(title)
        axes.grid(axis="y")
        axes.tick_params(length=0)
    if BITS in measured:
        ends = [values[-1] for _, values in measured[BITS].values()]
        low = min(min(values) for _, values in measured[BITS].values())
        if max(ends) > low:
            margin = max(ends) - low
            column[0].set_ylim(low - 0.1 * margin, max(ends) + 1.5 * margin)
    column[-1].set_xlabel("epoch")
    shown = [name for name in names if name in labelled]
    place = {"loc": "outside upper left", "ncols": 3} if len(shown) <= MOST_ABOVE else {"loc": "outside right upper"}
    figure.legend([labelled[name] for name in shown], shown, **place)
    return figure


def _lines(histories: Mapping[str, Sequence[History]], key: str) -> dict[str, tuple[list[int], list[float]]]:
    means = {name: _mean(runs, key) for name, runs in histories.items()}
    return {name: (epochs, values) for name, (epochs, values) in means.items() if values}


def _mean(runs: Sequence[History], key: str) -> tuple[list[int], list[float]]:
    """Epochs that every run has measured, and the mean over runs."""
    measured = [{int(row["epoch"]): row[key] for row in run if not math.isnan(row.get(key, math.nan))} for run in runs]
    epochs = sorted(set.intersection(*map(set, measured))) if measured else []
    return epochs, [fmean(run[epoch] for run in measured) for epoch in epochs]
