"""What came of a contender, read from the folders of its runs."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixelbayes import experiments as experiment
from pixelbayes.evaluation.history import HISTORY, read_history
from pixelbayes.experiments.compare.entries import Contender
from pixelbayes.experiments.compare.workers import FAILURE
from pixelbayes.report.run_record import METRICS, QUALITY, read_json


@dataclass
class Row:
    """What came of a contender: a value for each seed that ended."""

    name: str
    parameters: int = 0
    values: dict[str, list[float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    histories: list[list[dict[str, float]]] = field(default_factory=list)
    samples: bytes | None = None  # a PNG, of the first seed that ended
    judged_by: str = ""  # what FID and KID are of

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def mean(self, name: str) -> float:
        return statistics.fmean(self.values[name])

    def cell(self, name: str, digits: int) -> str:
        """Mean, and deviation where there is more than one seed."""
        values = self.values.get(name, [])
        if not values:
            return ""
        mean = f"{self.mean(name):.{digits}f}"
        return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def read_row(contender: Contender, seeds: Sequence[int], out: Path, report_on: str) -> Row:
    """The row of a contender, of those of its runs that ended."""
    row = Row(contender.name)
    for seed in seeds:
        run = contender.run(out, seed)
        figures = read_json(run / METRICS)
        if not figures:
            row.failures.append(f"seed {seed}: {(run / FAILURE).read_text(encoding='utf-8').splitlines()[0]}")
            continue
        history = read_history(run / HISTORY)
        best = next(epoch for epoch in history if epoch["epoch"] == figures["epoch"])
        speed = statistics.median(epoch["images_per_second"] for epoch in history)
        row.add(images_per_second=speed, accuracy=figures["accuracy"])
        row.add(**{name: best[name] for name in ("val/accuracy", "val/bits_per_dim") if name in best})
        row.add(**{name: figures[name] for name in ("nll", "ece") if figures.get(name) is not None})
        row.add(classified_per_second=figures["images_per_second"])
        if figures.get("bits_per_dim") is not None:
            row.add(bits_per_dim=figures["bits_per_dim"])
        quality = read_json(experiment.evaluation_folder(run, contender.config.data.source, report_on) / QUALITY)
        if quality:
            row.add(**{name: quality[name] for name in ("fid", "kid") if quality[name] is not None})
            row.judged_by = f"{quality['n']} samples on {quality['extractor']}, against {quality['reference']}"
        row.parameters = figures["parameters"]
        row.histories.append(history)
        samples = run / "figures" / "samples.png"
        if row.samples is None and samples.is_file():
            row.samples = samples.read_bytes()
    return row
