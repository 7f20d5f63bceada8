"""Every image's prediction as the rows of a csv."""

from pathlib import PurePosixPath
from typing import Any

import torch

from pixelbayes.checkpoints.checkpoint import Trained
from pixelbayes.evaluation.measure import Measurement


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


def submission_rows(measurement: Measurement) -> list[list[Any]]:
    """The course's form: `id,label`, the file's name and the predicted class's number."""
    names = [PurePosixPath(name).name for name in measurement.split.names]
    if len(set(names)) < len(names):  # files of one name in several folders
        names = list(measurement.split.names)
    return [["id", "label"], *map(list, zip(names, measurement.predicted.tolist(), strict=True))]
