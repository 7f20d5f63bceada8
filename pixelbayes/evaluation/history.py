"""The history of a run: one row of metrics per epoch, and the choice of the best epoch."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import csv_text, write_text

Row = dict[str, float]
"""Metrics of one epoch by their names in history.csv, such as "epoch" and "val/accuracy"."""


def best_row(rows: Sequence[Row], monitor: str, metric: str = "bits_per_dim") -> Row:
    """The best row on validation; the first one of several that are equally good.

    Args:
        rows: One row per epoch, at least one.
        monitor: "accuracy" selects the highest validation accuracy, and the lower `metric` of equal accuracies. For any
            other value, and if the accuracy is NaN, `metric` alone decides.
        metric: A validation metric that is better if it is lower.

    >>> rows = [{"epoch": 1, "val/accuracy": 0.5, "val/bits_per_dim": 2.0},
    ...         {"epoch": 2, "val/accuracy": 0.5, "val/bits_per_dim": 1.9}]
    >>> best_row(rows, "accuracy")["epoch"]
    2
    """

    def rank(row: Row) -> tuple[float, ...]:
        accuracy, lower_is_better = row["val/accuracy"], -row[f"val/{metric}"]
        return (accuracy, lower_is_better) if monitor == "accuracy" and accuracy == accuracy else (lower_is_better,)

    return max(rows, key=rank)


def write_history(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    write_text(path, csv_text([list(rows[0]), *(row.values() for row in rows)]))


def read_history(path: Path) -> list[Row]:
    """The rows of a history; an empty list if there is no such file. A value that was not measured is NaN.

    Raises:
        InputError: If the file is damaged.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged ({error}); delete it, or copy it again") from error
