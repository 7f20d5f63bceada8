"""Several ways to feed in the label, or whole presets, trained on the same data with the same budget: one table."""

import contextlib
import json
import multiprocessing
import signal
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
import yaml
from rich.console import Console

from pixelbayes import experiment
from pixelbayes.baseline import BaselineConfig, train_baseline
from pixelbayes.data import load_data
from pixelbayes.differences import differences
from pixelbayes.errors import DivergedError, InputError, InterruptedRunError
from pixelbayes.evaluation.figures import overlaid_curves
from pixelbayes.evaluation.history import HISTORY, read_history
from pixelbayes.evaluation.page import Listing, Page, Picture, Section, Table
from pixelbayes.evaluation.report.record import METRICS, QUALITY
from pixelbayes.experiment import ExperimentConfig, FeatureConfig
from pixelbayes.files import csv_text, safe_name, write_text
from pixelbayes.presets import PRESETS
from pixelbayes.progress import track
from pixelbayes.runs import RunConfig, command_line
from pixelbayes.training import OptimizationConfig

SETTINGS, FAILURE = "compare.yaml", "failure.txt"
AFTERWARDS = ("samples", "features")  # may be asked for when the runs have ended

BASELINE = "baseline"  # the name of the dedicated classifier

# what a preset does not decide in a comparison
BUDGET = ("epochs", "max_seconds", "device", "precision", "logger", "sample_every", "samples_per_class")


@dataclass(frozen=True)
class Contender:
    """One row of the table: a name and what is trained under it."""

    name: str
    config: RunConfig

    def run(self, out: Path, seed: int) -> Path:
        return out / safe_name(self.name) / f"seed-{seed}"

    def train(self, seed: int, run: Path, report_on: str) -> None:
        config = replace(self.config, seed=seed)
        if isinstance(config, BaselineConfig):
            train_baseline(config, run, resume=True, report_on=report_on)
        elif isinstance(config, ExperimentConfig):
            experiment.train(config, run, resume=True, report_on=report_on)


def contenders(names: Sequence[str], base: ExperimentConfig) -> list[Contender]:
    """What names stand for.

    A fusion changes the base's fusion alone. A preset lends model, augmentation and training, but not data and budget.
    "baseline" is the dedicated classifier under the base's data, augmentation, budget and seed.

    Raises:
        InputError: If a name is none of these, or stands twice.
    """
    if len(set(names)) < len(names):
        raise InputError(f"a name stands twice among {', '.join(names)}")
    return [Contender(name, _config(name, base)) for name in names]


def _config(name: str, base: ExperimentConfig) -> RunConfig:
    if name == BASELINE:
        config = BaselineConfig(data=base.data, augmentation=base.augmentation)
        return replace(config, training=replace(config.training, **_budget(base, config.training)))
    if name in PRESETS:
        preset = PRESETS[name]
        return replace(preset, data=base.data, training=replace(preset.training, **_budget(base, preset.training)))
    return replace(base, model=replace(base.model, fusion=name))


def _budget(base: ExperimentConfig, training: OptimizationConfig) -> dict[str, Any]:
    """What the comparison decides for every contender."""
    return {name: getattr(base.training, name) for name in BUDGET if hasattr(training, name)}


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


def compare(
    names: Sequence[str],
    base: ExperimentConfig,
    seeds: Sequence[int],
    out: Path,
    *,
    report_on: str = "validation",
    workers: int = 1,
    samples: int = 0,
    features: FeatureConfig = FeatureConfig(),  # noqa: B008 (it is frozen)
    note: str = "",
) -> list[Row]:
    """Trains every contender with every seed, each into its own folder, then writes one table of them all.

    A run that has ended is not run again, one that was killed goes on, one that fails is a row that says why.

    Args:
        names: Fusions, presets, or "baseline" for the dedicated classifier.
        base: Data, budget, and the network but for its fusion.
        seeds: Of the runs.
        out: The folder of the comparison.
        report_on: The split whose figures stand beside validation's.
        workers: Runs at a time, each with its share of the threads; small networks gain by it.
        samples: Drawn of each class by every density that ended, for FID and KID against `report_on`; 0 for none.
        features: What those are compared by.
        note: What readers of the table should know besides.

    Raises:
        InputError: If a name is unknown, the data is faulty, or the folder holds another comparison.
        InterruptedRunError: If asked to stop; the same call goes on.
    """
    entries = contenders(names, base)
    load_data(base.data).split(report_on)  # faults of the data are nobody's row
    settings = {"names": list(names), "seeds": list(seeds), "report_on": report_on, "base": base.as_plain()}
    _claim(out, {**settings, "samples": samples, "features": features.features} if samples else settings)
    wanted = [features] if samples else []
    if base.training.quality_every:
        wanted.append(FeatureConfig(features=base.training.quality_features))
    for each in wanted:  # now, before runs side by side would each train the classifier, or a table lack its figures
        experiment.prepare_features(base.data, each, base.training.device)
    waiting = [
        (contender, seed, contender.run(out, seed), report_on)
        for seed in seeds
        for contender in entries
        if not (contender.run(out, seed) / METRICS).is_file()
    ]
    if workers > 1:
        _run_side_by_side(waiting, workers)
    else:
        _run_in_turn(waiting)
    if samples:
        _judge_samples(entries, base, seeds, out, report_on, samples, features)
    rows = [_row(contender, seeds, out, report_on) for contender in entries]
    write_comparison(rows, base, seeds, out, report_on, note)
    return rows


def _judge_samples(
    entries: Sequence[Contender],
    base: ExperimentConfig,
    seeds: Sequence[int],
    out: Path,
    report_on: str,
    samples: int,
    features: FeatureConfig,
) -> None:
    """An evaluation with samples for every density that ended and has none."""
    ended = [run for each in entries for seed in seeds if (run := each.run(out, seed)) and (run / METRICS).is_file()]
    densities = [run for run in ended if json.loads((run / METRICS).read_text(encoding="utf-8"))["bits_per_dim"]]
    config = experiment.EvaluationConfig(samples=experiment.SamplingConfig(count=samples), features=features)
    for run in track(densities, "samples of each run"):
        folder = experiment.evaluation_folder(run, base.data.source, report_on)
        if not (folder / QUALITY).is_file():
            experiment.examine(run, base.data.source, report_on, folder, config, device=base.training.device)


Waiting = tuple[Contender, int, Path, str]


def _run_in_turn(waiting: Sequence[Waiting]) -> None:
    console = Console(stderr=True, highlight=False)
    began = time.monotonic()
    for number, (contender, seed, run, report_on) in enumerate(waiting):
        left = (time.monotonic() - began) / number * (len(waiting) - number) if number else None
        console.rule(
            f"run {number + 1} of {len(waiting)}: {contender.name}, seed {seed}"
            + (f", about {left / 60:.0f} minutes left" if left is not None else "")
        )
        run_one(contender, seed, run, report_on)


def _run_side_by_side(waiting: Sequence[Waiting], workers: int) -> None:
    """Each run's lines go to log.txt in its folder; a bar counts the runs."""
    threads = max(1, torch.get_num_threads() // workers)
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        futures = [pool.submit(_run_apart, *one, threads) for one in waiting]
        for future in track(as_completed(futures), "runs", len(futures)):
            future.result()
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.terminate()  # it saves its state first
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise InterruptedRunError("stopped; the same command goes on", number)


def _run_apart(contender: Contender, seed: int, run: Path, report_on: str, threads: int) -> None:
    torch.set_num_threads(threads)
    run.mkdir(parents=True, exist_ok=True)
    with (run / "log.txt").open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
        run_one(contender, seed, run, report_on)


def _claim(out: Path, settings: dict[str, Any]) -> None:
    path = out / SETTINGS
    if path.is_file():
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        changed = [name for name in differences(before, settings) if name in before or name not in AFTERWARDS]
        if changed:
            raise InputError(f"{path} differs from what was asked in {', '.join(changed)}; give another --out")
    write_text(path, yaml.safe_dump(settings, sort_keys=False))


def run_one(contender: Contender, seed: int, run: Path, report_on: str) -> None:
    """One run; if it fails, its folder says why."""
    (run / FAILURE).unlink(missing_ok=True)
    try:
        contender.train(seed, run, report_on)
    except (InputError, DivergedError, RuntimeError) as error:
        if isinstance(error, InterruptedRunError):
            raise
        write_text(run / FAILURE, f"{error}\n")
        Console(stderr=True).print(f"failed: {error}", style="red", markup=False)


def _row(contender: Contender, seeds: Sequence[int], out: Path, report_on: str) -> Row:
    row = Row(contender.name)
    for seed in seeds:
        run = contender.run(out, seed)
        if not (run / METRICS).is_file():
            row.failures.append(f"seed {seed}: {(run / FAILURE).read_text(encoding='utf-8').splitlines()[0]}")
            continue
        figures = json.loads((run / METRICS).read_text(encoding="utf-8"))
        history = read_history(run / HISTORY)
        best = next(epoch for epoch in history if epoch["epoch"] == figures["epoch"])
        speed = statistics.median(epoch["images_per_second"] for epoch in history)
        row.add(images_per_second=speed, accuracy=figures["accuracy"])
        row.add(**{name: best[name] for name in ("val/accuracy", "val/bits_per_dim") if name in best})
        row.add(**{name: figures[name] for name in ("nll", "ece") if figures.get(name) is not None})
        row.add(classified_per_second=figures["images_per_second"])
        if figures.get("bits_per_dim") is not None:
            row.add(bits_per_dim=figures["bits_per_dim"])
        quality = experiment.evaluation_folder(run, contender.config.data.source, report_on) / QUALITY
        if quality.is_file():
            found = json.loads(quality.read_text(encoding="utf-8"))
            row.add(**{name: found[name] for name in ("fid", "kid") if found[name] is not None})
            row.judged_by = f"{found['n']} samples on {found['extractor']}, against {found['reference']}"
        row.parameters = figures["parameters"]
        row.histories.append(history)
        samples = run / "figures" / "samples.png"
        if row.samples is None and samples.is_file():
            row.samples = samples.read_bytes()
    return row


def write_comparison(
    rows: Sequence[Row], base: ExperimentConfig, seeds: Sequence[int], out: Path, report_on: str, note: str = ""
) -> None:
    """compare.csv, compare.md and index.html."""
    columns = ["fusion", "validation accuracy", "validation bits/dim", "parameters", "training images/s"]
    columns[3:3] = [] if report_on == "validation" else [f"{report_on} accuracy", f"{report_on} bits/dim"]
    judged_by = next((row.judged_by for row in rows if row.judged_by), "")
    columns += ["FID", "KID"] if judged_by else []
    cells = [_cells(row, report_on) + (_distances(row) if judged_by else []) for row in rows]
    faults = [f"{row.name}: {failure}" for row in rows for failure in row.failures]
    write_text(out / "compare.csv", csv_text([columns, *cells]))
    lines = ["| " + " | ".join(line) + " |" for line in (columns, ["---"] * len(columns), *cells)]
    legend = " ".join(filter(None, [_legend(base, seeds), judged_by and f"FID and KID are of {judged_by}.", note]))
    words = [legend, *against_baseline(rows, report_on), *faults]
    write_text(out / "compare.md", "\n".join([*lines, *(f"\n{word}" for word in words)]) + "\n")
    histories = {row.name: row.histories for row in rows if row.histories}
    sections = [
        Section("Table", legend, tables=(Table(cells, columns),), listings=_faults(faults)),
        *(Section("Against a dedicated classifier", text) for text in against_baseline(rows, report_on)),
        Section("Training", pictures=_curves(histories)),
        Section(
            "Samples",
            "Drawn from p(x | c) by the first seed of each, a row for each class.",
            pictures=[
                Picture(row.samples, f"Samples of {row.name}.", row.name) for row in rows if row.samples is not None
            ],
            gallery=True,
        ),
        Section(
            "How to repeat it", listings=(Listing(command_line(), "Command"), Listing(base.as_yaml(), "Config", True))
        ),
    ]
    Page(title="Fusions compared", kicker="Comparison", summary=base.data.source, sections=sections).write(
        out / "index.html"
    )


def against_baseline(rows: Sequence[Row], report_on: str) -> list[str]:
    """A paragraph, written from the numbers, on the best density beside the dedicated classifier; none without one."""
    judged = {row.name: row for row in rows if "accuracy" in row.values}
    densities = [row for row in judged.values() if "bits_per_dim" in row.values]
    if BASELINE not in judged or not densities:
        return []
    dedicated, best = judged[BASELINE], max(densities, key=lambda row: row.mean("val/accuracy"))
    gap = 100 * (dedicated.mean("accuracy") - best.mean("accuracy"))
    costs = dedicated.mean("classified_per_second") / best.mean("classified_per_second")
    return [
        f"The dedicated classifier ({dedicated.parameters:,} parameters) reaches an accuracy of "
        f"{dedicated.cell('accuracy', 3)} on {report_on}; {best.name}, the density best on validation "
        f"({best.parameters:,} parameters), {best.cell('accuracy', 3)}: {abs(gap):.1f} points "
        f"{'less' if gap > 0 else 'more'}. Of their posteriors the mean negative log-likelihood is "
        f"{dedicated.cell('nll', 3)} and {best.cell('nll', 3)} nats, the expected calibration error "
        f"{dedicated.cell('ece', 3)} and {best.cell('ece', 3)}. To classify an image the density takes {costs:.0f} "
        "times as long, for it scores every class. What it alone can do: draw new images of a class, tell how many "
        "bits an image costs, take another prior without training again, and learn from images without a label."
    ]


def _cells(row: Row, report_on: str) -> list[str]:
    measured = [row.cell("accuracy", 3), row.cell("bits_per_dim", 3)] if report_on != "validation" else []
    return [
        row.name,
        row.cell("val/accuracy", 3),
        row.cell("val/bits_per_dim", 3),
        *measured,
        f"{row.parameters:,}" if row.parameters else "",
        row.cell("images_per_second", 0),
    ]


def _distances(row: Row) -> list[str]:
    return [row.cell("fid", 2), row.cell("kid", 4)]


def _legend(base: ExperimentConfig, seeds: Sequence[int]) -> str:
    over = f"Mean ± standard deviation over {len(seeds)} seeds" if len(seeds) > 1 else "One seed"
    return (
        f"{over}; each run {base.training.epochs} epochs, its weights selected by {base.training.select_by} on "
        "validation. Bits per dimension are of p(x | label), on the levels and size named in the config."
    )


def _faults(faults: Sequence[str]) -> list[Listing]:
    return [Listing("\n".join(faults), "Runs that failed")] if faults else []


def _curves(histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> list[Picture]:
    if not histories:
        return []
    caption = "On validation, epoch by epoch; mean over seeds."
    return [Picture.of(overlaid_curves(histories), "Learning curves of all contenders.", caption)]
