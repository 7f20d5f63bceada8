"""Reads the results of an entry from the folders of its runs."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixelbayes.evaluation.history import read_history
from pixelbayes.experiments.compare.entries import Entry
from pixelbayes.experiments.evaluate import evaluation_folder
from pixelbayes.report.run_record import read_json
from pixelbayes.utils.run_folder import RunFolder


@dataclass
class Row:
    """The results of an entry, one value per finished seed.

    Args:
        name: Name of the entry.
        num_parameters: Number of learned parameters.
        values: Values by metric.
        failures: Reasons of failed runs.
        histories: Metrics per epoch, per run.
        samples: A PNG of samples of the first finished seed.
        quality_of: What FID and KID were measured on.
    """

    name: str
    num_parameters: int = 0
    values: dict[str, list[float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    histories: list[list[dict[str, float]]] = field(default_factory=list)
    samples: bytes | None = None
    quality_of: str = ""

    def add(self, **values: float) -> None:
        """Adds the values of one run."""
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def mean(self, name: str) -> float:
        """Mean of a metric over the seeds."""
        return statistics.fmean(self.values[name])

    def cell(self, name: str, digits: int) -> str:
        """Mean of a metric, and its standard deviation if there are several seeds; empty if it was not measured."""
        values = self.values.get(name, [])
        if not values:
            return ""
        mean = f"{self.mean(name):.{digits}f}"
        return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def read_row(entry: Entry, seeds: Sequence[int], out: Path, eval_split: str) -> Row:
    """Reads the results of an entry's finished runs."""
    row = Row(entry.name)
    for seed in seeds:
        folder = entry.folder(out, seed)
        metrics = read_json(folder.metrics)
        if not metrics:
            row.failures.append(f"seed {seed}: {folder.failure.read_text(encoding='utf-8').splitlines()[0]}")
            continue
        history = read_history(folder.history)
        best = next(epoch for epoch in history if epoch["epoch"] == metrics["epoch"])
        training_speed = statistics.median(epoch["images_per_second"] for epoch in history)
        row.add(images_per_second=training_speed, accuracy=metrics["accuracy"])
        row.add(**{name: best[name] for name in ("val/accuracy", "val/bits_per_dim") if name in best})
        row.add(**{name: metrics[name] for name in ("nll", "ece", "bits_per_dim") if metrics.get(name) is not None})
        row.add(classified_per_second=metrics["images_per_second"])
        evaluation = RunFolder(evaluation_folder(folder.path, entry.config.data.source, eval_split))
        if quality := read_json(evaluation.quality):
            row.add(**{name: quality[name] for name in ("fid", "kid") if quality[name] is not None})
            row.quality_of = f"{quality['n']} samples on {quality['extractor']}, against {quality['reference']}"
        row.num_parameters = metrics["parameters"]
        row.histories.append(history)
        samples = folder.figures / "samples.png"
        if row.samples is None and samples.is_file():
            row.samples = samples.read_bytes()
    return row
