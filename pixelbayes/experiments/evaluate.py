"""Evaluates a network on a split, and writes metrics, predictions, plots and a report into a folder."""

import dataclasses
import json
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pixelbayes.checkpoints.trained import Ensemble, Trained, TrainedPixelCNN
from pixelbayes.data import ImageData
from pixelbayes.evaluation.measure import DEFAULT_SCORING, Measurement, check_fit
from pixelbayes.evaluation.sample_folder import read_manifest, read_samples
from pixelbayes.experiments.acceptance import Acceptance, AcceptanceConfig, load_judge
from pixelbayes.experiments.claim import check_folder, command_line, new_run_folder
from pixelbayes.experiments.measure import (
    compare_with_ood,
    load_data_for,
    load_ood_images,
    load_trained,
    measure_split,
)
from pixelbayes.experiments.sample_quality import FeatureConfig, SampleEvaluator, draw
from pixelbayes.inference import SamplingConfig, ScoringConfig
from pixelbayes.report import run_report
from pixelbayes.report.results import clear_results, write_results
from pixelbayes.report.run_record import distinct_names, read_json
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import safe_name, write_text
from pixelbayes.utils.run_folder import RunFolder

SAMPLES_IN_FIGURE = 10  # per class


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What an evaluation includes."""

    scoring: ScoringConfig = DEFAULT_SCORING
    """how images are scored"""
    samples: SamplingConfig | Path | None = None
    """samples to draw into the folder, or a folder of samples; None for none"""
    acceptance: AcceptanceConfig | None = None
    """which draws are kept as samples; None keeps the first draw of each"""
    features: FeatureConfig = dataclasses.field(default_factory=FeatureConfig)
    """the features that compare samples with real images"""
    ood_data: str = ""
    """other data, to measure how well its images are detected as out-of-distribution; empty for none"""
    ood_split: str = "test"
    """the split of the other data"""
    overwrite: bool = False
    """replace other samples in the folder"""

    def __post_init__(self) -> None:
        if self.acceptance and not isinstance(self.samples, SamplingConfig):
            raise InputError(
                "draws are accepted while samples are drawn; give --samples N, how many of each class to draw"
            )


DEFAULT_EVALUATION = EvaluationConfig()


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of `evaluate`.

    Args:
        trained: The network, or ensemble.
        measurement: Its measurement.
        metrics: All metrics, as in metrics.json and, under "quality", quality.json.
        written_labels: How the data write each label, Y of them.
    """

    trained: Trained
    measurement: Measurement
    metrics: dict[str, Any]
    written_labels: tuple[str, ...]


def evaluation_folder(run: Path, source: str, split: str, members: Sequence[str | Path] = ()) -> Path:
    """The folder for an evaluation: inside the run, named by data and split; for a weights file a new one under runs/.

    The name of an ensemble's folder lists its members. If other data of the same name have been evaluated, a number is
    appended.
    """
    if not run.is_dir():
        return new_run_folder("evaluation")
    name = f"{Path(source.rpartition(':')[2]).name}-{split}"
    if members:
        name += "-with-" + "-".join(distinct_names([run, *map(Path, members)])[1:])
    evaluations = RunFolder(run).evaluations
    folders = (evaluations / safe_name(f"{name}{number}") for number in chain([""], count(-2, -1)))
    return next(folder for folder in folders if read_json(RunFolder(folder).metrics).get("data", source) == source)


def evaluate(
    run: str | Path,
    source: str,
    split: str,
    out: Path,
    config: EvaluationConfig = DEFAULT_EVALUATION,
    *,
    members: Sequence[str | Path] = (),
    device: str = "auto",
    data: ImageData | None = None,
) -> Evaluation:
    """Evaluates a network or an ensemble on a split.

    The network and its run stay unchanged. An interrupted evaluation does not draw its samples again.

    Args:
        run: A run folder, a weights file or the name of a bundled network.
        source: The data, as in `DataConfig`.
        split: The images to measure on; also the real images of FID and KID.
        out: The folder; an evaluation in it is replaced.
        config: What to include; an ensemble takes neither samples nor other data.
        members: Further runs, which form an ensemble with it.
        device: The device to compute on.
        data: The data as the network takes the images, if they are loaded already.

    Raises:
        InputError: If the network does not fit the data, or has no density where one is needed; if samples, features,
            judge or other data are not available; if the judge of the draws also measures the samples; if the folder is
            a run; or if the networks of an ensemble are not compatible.
    """
    check_folder(out)
    folder = RunFolder(out)
    if folder.config.is_file():
        raise InputError(f"{out} is a run folder, whose results would be lost; give another --out")
    if members and (config.samples is not None or config.ood_data):
        raise InputError(
            "--samples and --ood-data are not available for an ensemble; evaluate a single network, without --ensemble"
        )
    trained = load_trained(run, members, device=device)
    data = data or load_data_for(trained, source)
    images = data.split(split)
    check_fit(trained, images)
    samples = evaluator = acceptance = ood_images = None  # faults in any of them are found before the long work
    if config.ood_data:
        ood_images = load_ood_images(_density(trained, run), config.ood_data, config.ood_split)
    if isinstance(config.samples, Path):
        samples = read_samples(config.samples, trained.class_names, trained.preprocessing)
    if isinstance(config.samples, SamplingConfig):
        _density(trained, run).check_guidance(config.samples.guidance)
    if config.samples is not None:
        evaluator = SampleEvaluator.of(_density(trained, run), data, split, config.features, device=device)
    if isinstance(config.samples, SamplingConfig):
        density = _density(trained, run)
        if config.acceptance and evaluator is not None:
            judge = load_judge(density, config.acceptance, device=device)
            evaluator.check_judge(judge)
            manifest = None if config.overwrite else read_manifest(folder.samples)
            acceptance = Acceptance.of(density, judge, config.acceptance, config.samples, manifest)
        samples = draw(density, folder.samples, config.samples, acceptance=acceptance, overwrite=config.overwrite)
    measurement = measure_split(trained, images, split, config.scoring)
    plots: dict[str, Figure | None] = {}
    more: dict[str, Any] = {}
    if isinstance(trained, Ensemble):
        more["ensemble"] = [
            {"run": str(name), "weights": member.digest}
            for name, member in zip([run, *members], trained.members, strict=True)
        ]
    if ood_images is not None:
        names = (f"{source}, {split}", f"{config.ood_data}, {config.ood_split}")
        scores, plots["separation"] = compare_with_ood(trained, measurement, ood_images, names)
        more["ood"] = {"data": config.ood_data, "split": config.ood_split, **scores}
    quality: dict[str, Any] | None = None
    if evaluator is not None and samples is not None:
        measured, plots["neighbours"] = evaluator(samples)
        quality = measured.as_dict()
        if acceptance is not None:
            quality["acceptance"] = {
                **acceptance.as_dict(samples.pixels, range(len(trained.class_names))),
                **acceptance.bits_per_dim(images),
            }
    clear_results(out)
    if quality is not None:
        write_text(folder.quality, json.dumps(quality, indent=2) + "\n")
    metrics = write_results(
        out,
        trained,
        measurement,
        source=source,
        split=split,
        samples=samples.pixels[:, :SAMPLES_IN_FIGURE] if samples is not None and samples.class_names else None,
        plots=plots,
        more=more,
        command=command_line(),
        facts={"weights": trained.digest, "run": ", ".join(map(str, [run, *members]))},
    )
    parent = RunFolder(Path(run))
    if parent.page.is_file() and out.parent == parent.evaluations:
        run_report([parent.path]).write(parent.page)  # the run's report includes its evaluations
    return Evaluation(trained, measurement, {**metrics, "quality": quality}, data.written_labels or trained.class_names)


def _density(trained: Trained, run: str | Path) -> TrainedPixelCNN:
    if not trained.densities:
        raise InputError(f"{run}: {trained.kind_name} has no density, so it cannot draw samples or score images")
    return trained.densities[0]
