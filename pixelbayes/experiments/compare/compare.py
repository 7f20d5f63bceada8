"""Trains every entry with every seed, each into its own run folder, and writes one table."""

from collections.abc import Sequence
from pathlib import Path

from pixelbayes.data import ImageData, load_data
from pixelbayes.experiments.claim import claim_settings
from pixelbayes.experiments.compare.entries import Entry, make_entries
from pixelbayes.experiments.compare.rows import Row, read_row
from pixelbayes.experiments.compare.table import write_comparison
from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.evaluate import EvaluationConfig, evaluate, evaluation_folder
from pixelbayes.experiments.sample_quality import FeatureConfig, prepare_features
from pixelbayes.experiments.workers import Job, run_in_parallel, run_in_turn
from pixelbayes.inference import SamplingConfig
from pixelbayes.report.run_record import read_json
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import track
from pixelbayes.utils.run_folder import RunFolder

SETTINGS = "compare.yaml"  # in the folder of a comparison
MAY_BE_ADDED = ("samples", "features")  # settings that may be added after the runs have ended

DEFAULT_FEATURES = FeatureConfig()


def compare(
    names: Sequence[str],
    base: ExperimentConfig,
    seeds: Sequence[int],
    out: Path,
    *,
    eval_split: str = "validation",
    workers: int = 1,
    samples: int = 0,
    features: FeatureConfig = DEFAULT_FEATURES,
    note: str = "",
) -> list[Row]:
    """Trains every entry with every seed, and writes one table of all of them.

    A finished run is not repeated, an interrupted one is resumed, and a failed one becomes a row with the reason.

    Args:
        names: Fusions, presets, or "baseline" for the dedicated classifier.
        base: Data, budget, and everything of the network except its fusion.
        seeds: Random seeds of the runs.
        out: The folder of the comparison.
        eval_split: The split whose metrics are shown beside those of validation.
        workers: Number of runs at a time. Each gets its share of the threads, which helps with small networks.
        samples: Number of samples of each class to draw from every finished density, for FID and KID against the images
            of `eval_split`; 0 for none.
        features: The features of FID and KID.
        note: A remark for readers of the table.

    Raises:
        InputError: If a name is unknown, a seed occurs twice, the data are faulty, or the folder holds another
            comparison.
        InterruptedRunError: If asked to stop; the same call continues.
    """
    entries = make_entries(names, base)
    if len(set(seeds)) < len(seeds):
        raise InputError(f"a seed occurs twice among {', '.join(map(str, seeds))}")
    data = load_data(base.data)
    data.split(eval_split)  # raises if there is no such split
    settings = {"names": list(names), "seeds": list(seeds), "eval_split": eval_split, "base": base.as_plain()}
    if samples:
        settings |= {"samples": samples, "features": features.features}
    claim_settings(out / SETTINGS, settings, MAY_BE_ADDED)
    needed = [features] if samples else []
    if base.training.fid_every:
        needed.append(FeatureConfig(features=base.training.fid_features))
    for each in needed:  # before the runs, because parallel runs would otherwise each train the classifier
        prepare_features(each, base.data, data, base.training.device)
    jobs = [
        Job(entry, seed, entry.folder(out, seed), eval_split)
        for seed in seeds
        for entry in entries
        if not entry.folder(out, seed).metrics.is_file()
    ]
    if workers > 1:
        run_in_parallel(jobs, data, workers, base.training.device)
    else:
        run_in_turn(jobs, data)
    if samples:
        config = EvaluationConfig(samples=SamplingConfig(count=samples), features=features)
        _evaluate_samples(entries, base, seeds, out, eval_split, config, data)
    rows = [read_row(entry, seeds, out, eval_split) for entry in entries]
    write_comparison(rows, base, seeds, out, eval_split, note)
    return rows


def _evaluate_samples(
    entries: Sequence[Entry],
    base: ExperimentConfig,
    seeds: Sequence[int],
    out: Path,
    eval_split: str,
    config: EvaluationConfig,
    data: ImageData,
) -> None:
    """Evaluates samples of every finished density that has no such evaluation yet."""
    folders = [entry.folder(out, seed) for entry in entries for seed in seeds]
    densities = [folder.path for folder in folders if read_json(folder.metrics).get("bits_per_dim")]
    for run in track(densities, "samples of each run"):
        target = evaluation_folder(run, base.data.source, eval_split)
        if not RunFolder(target).quality.is_file():
            evaluate(run, base.data.source, eval_split, target, config, device=base.training.device, data=data)
