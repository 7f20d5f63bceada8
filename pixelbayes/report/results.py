"""The results of a measurement as files in a folder: metrics, predictions, plots and a report."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.checkpoints.trained import Trained
from pixelbayes.evaluation.history import read_history
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.plots import Overview, plots_of, save_figure
from pixelbayes.report.compose import run_report
from pixelbayes.report.predictions import prediction_rows
from pixelbayes.utils.files import csv_text, write_text
from pixelbayes.utils.run_folder import FIGURE_FORMATS, RunFolder


def metrics_of(trained: Trained, measurement: Measurement, source: str, split: str) -> dict[str, Any]:
    """The metrics of a measurement as plain values, with everything that is needed to compare them."""
    shape = trained.image_shape
    return {
        **measurement.metrics(),
        "data": source,
        "split": split,
        "levels": shape.levels,
        "image_size": list(shape.size),
        "channels": shape.channels,
        "resize": trained.preprocessing.resize,
        "epoch": trained.provenance.epoch,
        "parameters": trained.num_parameters,
    }


def write_results(
    folder: Path,
    trained: Trained,
    measurement: Measurement,
    *,
    source: str,
    split: str,
    samples: Tensor | None = None,
    plots: Mapping[str, Figure | None] = MappingProxyType({}),
    more: Mapping[str, Any] = MappingProxyType({}),
    command: str = "",
    facts: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Writes metrics.json, metrics.csv, predictions.csv, about.json, figures/ and the report, index.html.

    Args:
        folder: The folder. The report includes its other files: history, config, summary of the data, sample grids.
        trained: The network, or the networks.
        measurement: Their measurement on the split.
        source: The data, as in `DataConfig`.
        split: The split that was measured.
        samples: Samples of each class, uint8 (Y, n, C, H, W).
        plots: Additional plots by their names in `plots.PLOTS`, or None where there is nothing to show. All other plots
            in the folder belong to an earlier measurement and are removed.
        more: Additional metrics as plain values.
        command: The command line that reproduces the results.
        facts: Facts for the report, in addition to the versions.

    Returns:
        The content of metrics.json.
    """
    run = RunFolder(folder)
    metrics = {**metrics_of(trained, measurement, source, split), **more}
    write_text(run.metrics, json.dumps(metrics, indent=2) + "\n")
    single = {name: value for name, value in metrics.items() if not isinstance(value, list | tuple | dict)}
    write_text(run.metrics_table, csv_text([list(single), list(single.values())]))
    write_text(run.predictions, csv_text(prediction_rows(trained, measurement)))
    versions = {"torch": torch.__version__, "Python": platform.python_version()}
    about = {"description": trained.description, "command": command, "facts": {**facts, **versions}}
    write_text(run.about, json.dumps(about, indent=2) + "\n")
    _remove_figures(run)
    overview = Overview(
        trained=trained,
        measurement=measurement,
        samples=samples,
        history=read_history(run.history),
        range_test=read_history(run.range_test),
    )
    for name, figure in {**plots_of(overview), **plots}.items():
        if figure is not None:
            for suffix in FIGURE_FORMATS:
                save_figure(figure, run.figures / f"{name}{suffix}")
    run_report([folder]).write(run.page)
    return metrics


def clear_results(folder: Path) -> None:
    """Removes the files that an earlier measurement wrote into a folder, and no others."""
    run = RunFolder(folder)
    for file in run.results:
        file.unlink(missing_ok=True)
    _remove_figures(run)


def _remove_figures(run: RunFolder) -> None:
    for file in run.figures.glob("*"):
        if file.suffix in FIGURE_FORMATS:
            file.unlink()
