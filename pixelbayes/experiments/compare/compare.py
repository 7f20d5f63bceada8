"""From names to a table: every contender with every seed, each into its own folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pixelbayes import experiments as experiment
from pixelbayes.data import load_data
from pixelbayes.experiments import ExperimentConfig, FeatureConfig
from pixelbayes.experiments.compare.entries import Contender, contenders
from pixelbayes.experiments.compare.rows import Row, read_row
from pixelbayes.experiments.compare.table import write_comparison
from pixelbayes.experiments.compare.workers import run_in_turn, run_side_by_side
from pixelbayes.report.run_record import METRICS, QUALITY, read_json
from pixelbayes.utils.config_diff import differences
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import write_text
from pixelbayes.utils.progress import track

SETTINGS = "compare.yaml"  # in the folder of a comparison: what was asked
AFTERWARDS = ("samples", "features")  # may be asked for when the runs have ended


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
        run_side_by_side(waiting, workers)
    else:
        run_in_turn(waiting)
    if samples:
        _judge_samples(entries, base, seeds, out, report_on, samples, features)
    rows = [read_row(contender, seeds, out, report_on) for contender in entries]
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
    runs = [each.run(out, seed) for each in entries for seed in seeds]
    densities = [run for run in runs if read_json(run / METRICS).get("bits_per_dim")]
    config = experiment.EvaluationConfig(samples=experiment.SamplingConfig(count=samples), features=features)
    for run in track(densities, "samples of each run"):
        folder = experiment.evaluation_folder(run, base.data.source, report_on)
        if not (folder / QUALITY).is_file():
            experiment.examine(run, base.data.source, report_on, folder, config, device=base.training.device)


def _claim(out: Path, settings: dict[str, Any]) -> None:
    path = out / SETTINGS
    if path.is_file():
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        changed = [name for name in differences(before, settings) if name in before or name not in AFTERWARDS]
        if changed:
            raise InputError(f"{path} differs from what was asked in {', '.join(changed)}; give another --out")
    write_text(path, yaml.safe_dump(settings, sort_keys=False))
