"""Predictions as rows of a CSV file."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import torch

from pixelbayes.checkpoints.trained import Trained
from pixelbayes.data import UNKNOWN_LABEL
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.metrics.conformal import set_members


def prediction_rows(trained: Trained, measurement: Measurement) -> list[list[Any]]:
    """One row per image, below a header: name, label, predicted class and p(c | x).

    If they are known, log p(x | c) in nats and the prediction set follow.
    """
    names = trained.class_names
    header = ["image", "label", "predicted", *(f"p({name} | x)" for name in names)]
    numbers = measurement.posterior
    if measurement.log_prob is not None:
        header += [f"log p(x | {name})" for name in names]
        numbers = torch.cat([numbers, measurement.log_prob], dim=1)
    members = [] if measurement.sets is None else set_members(measurement.sets, names)
    if members:
        header.append("prediction set")
    labels, predicted = measurement.split.labels.tolist(), measurement.predicted.tolist()
    rows: list[list[Any]] = [header]
    for i, image in enumerate(measurement.split.names):
        label = "" if labels[i] == UNKNOWN_LABEL else names[labels[i]]
        in_set = ["; ".join(members[i])] if members else []
        rows.append([image, label, names[predicted[i]], *(f"{number:.6g}" for number in numbers[i].tolist()), *in_set])
    return rows


def submission_rows(measurement: Measurement, written_labels: Sequence[str]) -> list[list[Any]]:
    """Rows below the header `id,label`: the file name and the predicted label, as the data write it.

    Args:
        measurement: The predictions.
        written_labels: How the data write each label, Y of them.
    """
    names = [PurePosixPath(name).name for name in measurement.split.names]
    if len(set(names)) < len(names):  # different folders contain files of the same name
        names = list(measurement.split.names)
    predicted = [written_labels[label] for label in measurement.predicted.tolist()]
    return [["id", "label"], *map(list, zip(names, predicted, strict=True))]
