"""What a measurement leaves in a folder: figures as JSON and CSV, every prediction, pictures, and a page of it all."""

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.checkpoint import Trained
from pixelbayes.evaluation.figures import confusion_matrix, cosine_map, curves, image_grid, posteriors, save_figure
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.evaluation.page import Table
from pixelbayes.evaluation.report import data_table, run_page
from pixelbayes.files import csv_text, write_text

METRICS = "metrics.json"


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
    augmented: Figure | None = None,
    history: Sequence[Mapping[str, Any]] = (),
    data_summary: Mapping[str, Any] | None = None,
    config_text: str = "",
    command: str = "",
    facts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Writes metrics.json, metrics.csv, predictions.csv, figures/*.png and index.html; returns the figures.

    Args:
        folder: Where to.
        source: The data, as in `DataConfig`.
        split: The split that was measured.
        samples: uint8 levels (Y, n, C, H, W), images drawn from each class, if it draws any.
        augmented: Made by `figures.augmentations`, if training images were changed.
        history: Rows of training, if there was any.
        data_summary: Made by `data.summary.summarise`.
        config_text: The run's config as YAML.
        command: The command line that repeats it.
        facts: More to know, shown beside versions.
    """
    found = figures_of(checkpoint, measurement, source, split)
    write_text(folder / METRICS, json.dumps(found, indent=2) + "\n")
    plain = {name: value for name, value in found.items() if not isinstance(value, list | tuple | dict)}
    write_text(folder / "metrics.csv", csv_text([list(plain), list(plain.values())]))
    write_text(folder / "predictions.csv", csv_text(prediction_rows(checkpoint, measurement)))

    names, levels = checkpoint.class_names, checkpoint.preprocessing.levels
    some = handful(measurement)
    vectors = checkpoint.class_vectors
    pictures = {
        "curves": curves(history, checkpoint.about.get("epoch")) if history else None,
        "augmented": augmented,
        "cosines": None if vectors is None else cosine_map(vectors, names),
        "samples": None if samples is None else image_grid(samples, levels, row_labels=names),
        "confusion": confusion_matrix(measurement.classification, names) if measurement.classification else None,
        "posteriors": posteriors(
            measurement.split.pixels[some],
            levels,
            measurement.posterior[some],
            names,
            measurement.split.labels[some],
            None if measurement.log_prob is None else measurement.log_prob[some],
        ),
    }
    for name, figure in pictures.items():
        if figure is not None:
            save_figure(figure, folder / "figures" / f"{name}.png")
    page = run_page(
        title=folder.name,
        summary=f"{checkpoint.description}, on {source}.",
        split=split,
        bits_per_dim=measurement.bits_per_dim,
        levels=levels,
        image_size=checkpoint.preprocessing.image_size,
        resize=f"resize {checkpoint.preprocessing.resize}; of {measurement.density}",
        config_text=config_text,
        command=command,
        facts={**(facts or {}), "torch": torch.__version__, "Python": platform.python_version()},
        num_images=len(measurement.split),
        classification=measurement.classification,
        calibration=measurement.calibration,
        data=_counts(data_summary) if data_summary else None,
        **pictures,
    )
    page.write(folder / "index.html")
    return found


def prediction_rows(checkpoint: Trained, measurement: Measurement) -> list[list[Any]]:
    """A head, then for each image its name, label, predicted class, p(c | x) and, if known, log p(x | c) in nats."""
    names = checkpoint.class_names
    head = ["image", "label", "predicted", *(f"p({name} | x)" for name in names)]
    numbers = measurement.posterior
    if measurement.log_prob is not None:
        head += [f"log p(x | {name})" for name in names]
        numbers = torch.cat([numbers, measurement.log_prob], dim=1)
    labels, predicted = measurement.split.labels.tolist(), measurement.predicted.tolist()
    rows: list[list[Any]] = [head]
    for i, image in enumerate(measurement.split.names):
        label = names[labels[i]] if labels[i] >= 0 else ""
        rows.append([image, label, names[predicted[i]], *(f"{number:.6g}" for number in numbers[i].tolist())])
    return rows


def handful(measurement: Measurement, count: int = 8) -> list[int]:
    """Indices of images to show: up to a quarter the surest mistakes, the rest spread evenly over the split."""
    wrong = (measurement.predicted != measurement.split.labels) & (measurement.split.labels >= 0)
    sureness = measurement.posterior.amax(dim=1).masked_fill(~wrong, -1)
    mistakes = sureness.argsort(descending=True, stable=True)[: min(count // 4, int(wrong.sum()))].tolist()
    others = [i for i in range(len(measurement.split)) if i not in mistakes]
    wanted = min(count - len(mistakes), len(others))
    return [others[i * len(others) // wanted] for i in range(wanted)] + mistakes


def _counts(summary: Mapping[str, Any]) -> Table:
    counts = {
        name: {**split["per_class"], **({"no label": split["unlabelled"]} if split["unlabelled"] else {})}
        for name, split in summary["splits"].items()
    }
    duplicates = dict(summary["duplicates"]["within"])
    for pair, count in summary["duplicates"]["across"].items():
        duplicates[pair.split("/")[1]] += count
    return data_table(counts, duplicates)
