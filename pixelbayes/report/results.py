"""What a measurement leaves in a folder: figures as JSON and CSV, every prediction, pictures, and a report."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.checkpoints.checkpoint import Trained
from pixelbayes.evaluation.history import HISTORY, read_history
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.plots import save_figure
from pixelbayes.plots.overview import pictures_of
from pixelbayes.report import run_report
from pixelbayes.report.predictions import prediction_rows
from pixelbayes.report.run_record import ABOUT, FIGURES, METRICS, QUALITY
from pixelbayes.utils.files import csv_text, write_text

TABLE, PREDICTIONS, PAGE = "metrics.csv", "predictions.csv", "index.html"
RESULTS = (METRICS, TABLE, PREDICTIONS, QUALITY, ABOUT, PAGE)
FORMATS = (".png", ".svg")  # of each figure


def figures_of(checkpoint: Trained, measurement: Measurement, source: str, split: str) -> dict[str, Any]:
    """All figures as plain values, with what must be known to compare them."""
    preprocessing = checkpoint.preprocessing
    return {
        **measurement.figures(),
        "data": source,
        "split": split,
        "levels": preprocessing.levels,
        "image_size": list(preprocessing.image_size),
        "channels": preprocessing.channels,
        "resize": preprocessing.resize,
        "epoch": checkpoint.about.get("epoch"),
        "parameters": checkpoint.parameters,
    }


def write_results(
    folder: Path,
    checkpoint: Trained,
    measurement: Measurement,
    *,
    source: str,
    split: str,
    samples: Tensor | None = None,
    figures: Mapping[str, Figure | None] = MappingProxyType({}),
    more: Mapping[str, Any] = MappingProxyType({}),
    command: str = "",
    facts: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Writes metrics.json, metrics.csv, predictions.csv, about.json, figures/ and the report, index.html.

    Args:
        folder: Where to. The report shows what else stands there: history, config, summary of the data, sample grids.
        checkpoint: The network.
        measurement: What it made of the split.
        source: The data, as in `DataConfig`.
        split: The split that was measured.
        samples: uint8 levels (Y, n, C, H, W), images drawn from each class, if it draws any.
        figures: More pictures, by the names in `report.captions`; those that are None are left out. Any other that
            stands in the folder is of an earlier measurement, and removed.
        more: Figures besides those of the measurement, as plain values.
        command: The command line that repeats it.
        facts: More to know, shown beside versions.

    Returns:
        The figures, as in metrics.json.
    """
    found = {**figures_of(checkpoint, measurement, source, split), **more}
    write_text(folder / METRICS, json.dumps(found, indent=2) + "\n")
    plain = {name: value for name, value in found.items() if not isinstance(value, list | tuple | dict)}
    write_text(folder / TABLE, csv_text([list(plain), list(plain.values())]))
    write_text(folder / PREDICTIONS, csv_text(prediction_rows(checkpoint, measurement)))
    versions = {"torch": torch.__version__, "Python": platform.python_version()}
    about = {"description": checkpoint.description, "command": command, "facts": {**facts, **versions}}
    write_text(folder / ABOUT, json.dumps(about, indent=2) + "\n")
    _clear_figures(folder)
    drawn = pictures_of(checkpoint, measurement, samples, read_history(folder / HISTORY))
    for name, figure in {**drawn, **figures}.items():
        if figure is not None:
            for suffix in FORMATS:
                save_figure(figure, folder / FIGURES / f"{name}{suffix}")
    run_report([folder]).write(folder / PAGE)
    return found


def clear_results(folder: Path) -> None:
    """Removes what an earlier measurement has left in a folder; all else stays."""
    for name in RESULTS:
        (folder / name).unlink(missing_ok=True)
    _clear_figures(folder)


def _clear_figures(folder: Path) -> None:
    for old in (folder / FIGURES).glob("*"):
        if old.suffix in FORMATS:
            old.unlink()
