"""All there is to know of a network on some images, as a folder to read and to look at."""

import dataclasses
import json
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pixelbayes.checkpoints.checkpoint import Checkpoint, Trained
from pixelbayes.checkpoints.merging import EnsembleCheckpoint
from pixelbayes.data import load_data
from pixelbayes.evaluation.measure import Measurement, check_fit
from pixelbayes.evaluation.sample_folder import read_samples
from pixelbayes.experiments.measure import data_for, images_outside, load_to_measure, measured, set_against
from pixelbayes.experiments.run_folder import CONFIG, check_folder, command_line, new_run_folder
from pixelbayes.experiments.sample_quality import FeatureConfig, Judge, SamplingConfig, draw
from pixelbayes.report import run_report
from pixelbayes.report.results import PAGE, clear_results, write_results
from pixelbayes.report.run_record import EVALUATIONS, METRICS, QUALITY, distinct_names, read_json
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import safe_name, write_text

SAMPLES = "samples"  # in the folder of an evaluation: the images drawn for it
SHOWN = 10  # samples of each class in the picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What else is looked at, besides how well the images of a split are classified and modelled."""

    samples: SamplingConfig | Path | None = None  # drawn into the folder, or a folder that holds them already
    features: FeatureConfig = dataclasses.field(default_factory=FeatureConfig)
    against: str = ""  # other data: how well are its images told from those of the split?
    against_split: str = "test"
    overwrite: bool = False  # other samples in the folder give way


def evaluation_folder(run: Path, source: str, split: str, members: Sequence[str | Path] = ()) -> Path:
    """In the run's own folder, by the name of data and split; of a weights file, a new one under runs/.

    That of an ensemble says so, and with which runs: it stands beside that of the run alone. Where other data of that
    name has been measured, a number follows, so that neither takes the other's place.
    """
    if not run.is_dir():
        return new_run_folder("evaluation")
    name = f"{Path(source.rpartition(':')[2]).name}-{split}"
    if members:
        name += "-with-" + "-".join(distinct_names([run, *map(Path, members)])[1:])
    folders = (run / EVALUATIONS / safe_name(f"{name}{number}") for number in chain([""], count(-2, -1)))
    return next(folder for folder in folders if read_json(folder / METRICS).get("data", source) == source)


def examine(
    run: str | Path,
    source: str,
    split: str,
    out: Path,
    config: EvaluationConfig = EvaluationConfig(),
    *,
    members: Sequence[str | Path] = (),
    device: str = "auto",
    **how: Any,
) -> tuple[Trained, Measurement, dict[str, Any]]:
    """Measures a network or an ensemble on a split; leaves figures, predictions, pictures and a report in a folder.

    What is killed half-way does not draw its samples again. The network and what stands beside it stay as they are.

    Args:
        run: A run folder or weights file.
        source: The data, as in `DataConfig`.
        split: The images to measure on; the real images of FID and KID too.
        out: The folder; an evaluation that stands there is replaced.
        config: What else to look at; of an ensemble nothing else.
        members: Further runs or weights files, which make an ensemble with it.
        how: Views, masks, combine and plain of `measure`.

    Returns:
        The network or ensemble, its measurement, and all figures, as in metrics.json and, under "quality",
        quality.json.

    Raises:
        InputError: If the network does not fit the data, or has no density where one is needed; if samples, features or
            the other data cannot be had; or the folder is a run's own; or the networks of an ensemble do not fit each
            other.
    """
    check_folder(out)
    if (out / CONFIG).is_file():
        raise InputError(f"{out} is a run folder, whose own results would be lost; give another --out")
    if members and (config.samples is not None or config.against):
        raise InputError(
            "an ensemble is measured on images alone: samples, and the scores against other data, are of one network; "
            "ask for them without --with"
        )
    trained = load_to_measure(run, members, device=device)
    images = load_data(data_for(trained, source)).split(split)
    check_fit(trained, images)
    samples = judge = others = quality = None  # what is wrong with any of them is told before anything takes long
    if config.against:
        others = images_outside(_density(trained, run), config.against, config.against_split)
    if isinstance(config.samples, Path):
        samples = read_samples(config.samples, trained.class_names, trained.preprocessing)
    if config.samples is not None:
        judge = Judge.of(_density(trained, run), source, split, config.features, device=device)
    if isinstance(config.samples, SamplingConfig):
        samples = draw(_density(trained, run), out / SAMPLES, config.samples, overwrite=config.overwrite)
    measurement = measured(trained, images, split, **how)
    pictures: dict[str, Figure | None] = {}
    more: dict[str, Any] = {}
    if isinstance(trained, EnsembleCheckpoint):
        more["ensemble"] = [
            {"run": str(name), "weights": each.digest}
            for name, each in zip([run, *members], trained.members, strict=True)
        ]
    if others is not None:
        names = (f"{source}, {split}", f"{config.against}, {config.against_split}")
        found, pictures["separation"] = set_against(_density(trained, run), measurement, others, names)
        more["against"] = {"data": config.against, "split": config.against_split, **found}
    if judge is not None and samples is not None:
        quality, pictures["neighbours"] = judge(samples)
    clear_results(out)
    if quality is not None:
        write_text(out / QUALITY, json.dumps(quality.as_dict(), indent=2) + "\n")
    figures = write_results(
        out,
        trained,
        measurement,
        source=source,
        split=split,
        samples=samples.pixels[:, :SHOWN] if samples is not None and samples.class_names else None,
        figures=pictures,
        more=more,
        command=command_line(),
        facts={"weights": trained.digest, "run": ", ".join(map(str, [run, *members]))},
    )
    if (Path(run) / PAGE).is_file() and out.parent == Path(run) / EVALUATIONS:
        run_report([Path(run)]).write(Path(run) / PAGE)  # which shows this evaluation too
    return trained, measurement, {**figures, "quality": quality and quality.as_dict()}


def _density(trained: Trained, run: str | Path) -> Checkpoint:
    if not isinstance(trained, Checkpoint):
        raise InputError(f"{run}: {trained.called} has no density: it draws no samples and scores no image")
    return trained
