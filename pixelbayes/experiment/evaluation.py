"""All there is to know of a network on some images, as a folder to read and to look at."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pixelbayes import checkpoint
from pixelbayes.checkpoint import Checkpoint, Trained
from pixelbayes.data import load_data
from pixelbayes.devices import pick_device
from pixelbayes.errors import InputError
from pixelbayes.evaluation.generation import Samples, read_samples
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.evaluation.report import run_report
from pixelbayes.evaluation.report.record import EVALUATIONS, QUALITY
from pixelbayes.evaluation.results import PAGE, clear_results, write_results
from pixelbayes.experiment.measuring import data_for, measured
from pixelbayes.experiment.outside import set_against
from pixelbayes.experiment.quality import FeatureConfig, SamplingConfig, draw, judge
from pixelbayes.files import safe_name, write_text
from pixelbayes.runs import check_folder, command_line, new_run_folder

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


def evaluation_folder(run: Path, source: str, split: str) -> Path:
    """In the run's own folder, by the name of data and split; of a weights file, a new one under runs/."""
    if not run.is_dir():
        return new_run_folder("evaluation")
    return run / EVALUATIONS / safe_name(f"{Path(source.rpartition(':')[2]).name}-{split}")


def examine(
    run: str | Path,
    source: str,
    split: str,
    out: Path,
    config: EvaluationConfig = EvaluationConfig(),
    *,
    plain: bool = False,
    device: str = "auto",
) -> tuple[Trained, Measurement, dict[str, Any]]:
    """Measures a network on a split and leaves figures, predictions, pictures and a report in a folder.

    What is killed half-way does not draw its samples again. The network and what stands beside it stay as they are.

    Args:
        run: A run folder or weights file.
        source: The data, as in `DataConfig`.
        split: The images to measure on; the real images of FID and KID too.
        out: The folder; an evaluation that stands there is replaced.
        config: What else to look at.
        plain: As in `measure`.

    Returns:
        The network, its measurement, and all figures, as in metrics.json and, under "quality", quality.json.

    Raises:
        InputError: If the network does not fit the data, or has no density where one is needed.
    """
    check_folder(out)
    trained = checkpoint.load_any(run, pick_device(device))
    images = load_data(data_for(trained, source)).split(split)
    samples = None
    if config.samples is not None:  # first, for what is wrong with a folder is soon told
        samples = _samples(_density(trained, run), out, config)
    measurement = measured(trained, images, split, plain=plain)
    pictures: dict[str, Figure | None] = {}
    more: dict[str, Any] = {}
    quality = None
    if config.against:
        more["against"], pictures["separation"] = set_against(
            _density(trained, run), measurement, config.against, config.against_split, f"{source}, {split}"
        )
    if samples is not None:
        quality, pictures["neighbours"] = judge(
            _density(trained, run), samples, source, split, config.features, device=device
        )
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
        facts={"weights": trained.digest, "run": str(run)},
    )
    if (Path(run) / PAGE).is_file() and out.parent == Path(run) / EVALUATIONS:
        run_report([Path(run)]).write(Path(run) / PAGE)  # which shows this evaluation too
    return trained, measurement, {**figures, "quality": quality and quality.as_dict()}


def _samples(trained: Checkpoint, out: Path, config: EvaluationConfig) -> Samples:
    if isinstance(config.samples, SamplingConfig):
        return draw(trained, out / SAMPLES, config.samples, overwrite=config.overwrite)
    assert config.samples is not None
    return read_samples(config.samples, trained.class_names, trained.preprocessing)


def _density(trained: Trained, run: str | Path) -> Checkpoint:
    if not isinstance(trained, Checkpoint):
        raise InputError(f"{run}: {trained.called} has no density: it draws no samples and scores no image")
    return trained
