"""A run's history: a row of figures for each epoch, and which of them was best."""

import csv
from pathlib import Path

from pixelbayes.utils.files import csv_text, write_text

HISTORY = "history.csv"  # in a run folder


def best_row(rows: list[dict[str, float]], select_by: str, measure: str = "bits_per_dim") -> dict[str, float]:
    """The row best on validation; of rows with equal accuracy the one of lower `measure`, of equals the first."""

    def worth(row: dict[str, float]) -> tuple[float, ...]:
        gain, accuracy = -row[f"val/{measure}"], row["val/accuracy"]
        return (accuracy, gain) if select_by == "accuracy" and accuracy == accuracy else (gain,)

    return max(rows, key=worth)


def write_history(rows: list[dict[str, float]], path: Path) -> None:
    write_text(path, csv_text([list(rows[0]), *(row.values() for row in rows)]))


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows, an empty list if there is no such file; a value that was not measured is NaN."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
