"""The one path from a config to results: all that the command line, a sweep or a test does goes through here."""

import dataclasses
import datetime
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console

from pixelbayes import checkpoint
from pixelbayes.checkpoint import Checkpoint
from pixelbayes.data import DataConfig, ImageData, Split, load_data
from pixelbayes.data.summary import summarise, summary_table
from pixelbayes.devices import pick_device
from pixelbayes.errors import InputError
from pixelbayes.evaluation.measure import Measurement, measure
from pixelbayes.files import write_text
from pixelbayes.fusion import NO_LABEL
from pixelbayes.images import open_image, save_image
from pixelbayes.inference import sample_classes
from pixelbayes.model import Architecture, PixelCNN, PixelCNNConfig
from pixelbayes.progress import track
from pixelbayes.training import TrainingConfig

CONFIG, DATA = "config.yaml", "data.json"  # in a run folder


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """Everything that decides a run."""

    data: DataConfig = field(default_factory=DataConfig)
    model: Architecture = field(default_factory=Architecture)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0  # of the first weights, shuffling, dropout and sampling

    def as_plain(self) -> dict[str, Any]:
        """Nested dicts, lists and plain values, as YAML and JSON hold them."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    def as_yaml(self) -> str:
        return yaml.safe_dump(self.as_plain(), sort_keys=False)


PRESETS: dict[str, ExperimentConfig] = {
    # scikit-learn's 8x8 handwritten digits: a run that ends within minutes on two cores
    "digits": ExperimentConfig(
        data=DataConfig(source="digits"),
        model=Architecture(fusion="film", num_filters=40, num_blocks=1, num_mixtures=3, dropout=0.5),
        training=TrainingConfig(
            epochs=24, batch_size=32, learning_rate=3e-3, ema_decay=0.99, samples_per_class=10, sample_every=5
        ),
    ),
}


def train(
    config: ExperimentConfig, run: Path, *, resume: bool = False, report_on: str = "validation"
) -> dict[str, Any]:
    """Trains a network into a run folder, then measures and shows its best weights.

    Args:
        config: What to do.
        run: The run folder; receives config, weights, history, metrics, pictures and index.html.
        resume: Go on with the run in that folder, if there is one.
        report_on: The split to measure at the end.

    Returns:
        The figures, as in metrics.json.

    Raises:
        InputError: If the data is faulty, or the folder holds a run already, or another one than is to be resumed.
        DivergedError: If a loss is not finite.
        InterruptedRunError: If asked to stop; the run can be resumed.
    """
    data = load_data(config.data)
    splits = [data.split(name) for name in ("train", "validation", report_on)]
    if not all(len(split) for split in splits):
        raise InputError(f"{config.data.source}: a split among train, validation and {report_on} holds no image")

    from pixelbayes.training.fitting import check_machine, fit  # Lightning takes seconds to import
    from pixelbayes.training.module import TrainingModule

    check_machine(config.training)
    summary = {"fingerprint": data.fingerprint(), **summarise(data)}
    _claim(run, config, summary, resume)
    Console(stderr=True).print(summary_table(summary))
    module = TrainingModule(build_network(config, data), config.training, data, config.seed)
    history = fit(module, run, about={"experiment": config.as_plain(), "command": command_line()})
    trained = checkpoint.load(run, pick_device(config.training.device))
    return _report(run, trained, data.split(report_on), report_on, config, history)


def dry_run(config: ExperimentConfig) -> dict[str, str]:
    """What `train` would cost: parameters, time and memory, measured on a few steps; writes nothing."""
    from pixelbayes.training.estimate import estimate

    data = load_data(config.data)
    return estimate(build_network(config, data), config.training, data)


def build_network(config: ExperimentConfig, data: ImageData) -> PixelCNN:
    """A network at its start, its weights a function of the seed; the data tell classes, channels, levels and size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return PixelCNN(
            PixelCNNConfig(
                **dataclasses.asdict(config.model),
                num_classes=len(data.class_names),
                channels=data.preprocessing.channels,
                levels=data.preprocessing.levels,
                image_size=data.preprocessing.image_size,
            )
        )


def _claim(run: Path, config: ExperimentConfig, summary: dict[str, Any], resume: bool) -> None:
    """Makes the folder the run of this config on these data, or says why it cannot be."""
    path = run / CONFIG
    _check_folder(run)
    if path.is_file():
        if not resume:
            raise InputError(f"{run} holds a run already; give --resume to go on with it, or another --out")
        changed = differences(yaml.safe_load(path.read_text(encoding="utf-8")), config.as_plain())
        if changed:
            raise InputError(f"{path} differs from what was asked in {', '.join(changed)}; resume without these")
        if (run / DATA).is_file():
            before = json.loads((run / DATA).read_text(encoding="utf-8"))["fingerprint"]
            if before != summary["fingerprint"]:
                raise InputError(
                    f"{config.data.source}: the images or labels have changed since {run} was begun; "
                    "put them back, or start a new run with another --out"
                )
    elif (run / checkpoint.BEST).exists():
        raise InputError(f"{run} holds a network that was not trained there; give another --out")
    write_text(path, config.as_yaml())
    write_text(run / DATA, json.dumps(summary, indent=2) + "\n")


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, and a folder is needed; give another --out")


def differences(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the fields in which two plain configs differ.

    >>> differences({"seed": 0, "model": {"num_filters": 8}}, {"seed": 0, "model": {"num_filters": 9}})
    ['model.num_filters']
    """
    names = []
    for key in {**one, **other}:
        mine, yours = one.get(key), other.get(key)
        if isinstance(mine, dict) and isinstance(yours, dict):
            names += differences(mine, yours, f"{prefix}{key}.")
        elif mine != yours:
            names.append(prefix + key)
    return names


def _report(
    run: Path,
    trained: Checkpoint,
    split: Split,
    split_name: str,
    config: ExperimentConfig,
    history: list[dict[str, float]],
) -> dict[str, Any]:
    from pixelbayes.evaluation.results import write_results

    measurement = measure(trained, split, track=lambda batches: track(batches, f"scoring {split_name}"))
    samples = sample_classes(
        trained.network,
        range(len(trained.class_names)),
        config.training.samples_per_class,
        seed=config.seed,
        track=_rows,
    )
    return write_results(
        run,
        trained,
        measurement,
        source=config.data.source,
        split=split_name,
        samples=samples,
        history=history,
        data_summary=json.loads((run / DATA).read_text(encoding="utf-8")),
        config_text=config.as_yaml(),
        command=trained.about["command"],
        facts={
            "device": str(next(trained.network.parameters()).device),
            "threads": str(torch.get_num_threads()),
            "seed": str(config.seed),
            "selected": f"epoch {trained.about['epoch']} of {config.training.epochs}, by {config.training.select_by}",
            "time in epochs": f"{sum(row['seconds'] for row in history):.0f} s",
        },
    )


def _rows(rows: Sequence[int]) -> Iterable[int]:
    return track(rows, "sampling, row by row")


def evaluate(run: str | Path, source: str, split: str, *, device: str = "auto") -> tuple[Checkpoint, Measurement]:
    """Measures a run's best weights, or a weights file, on a split of any data with its classes; changes no file."""
    trained = checkpoint.load(run, pick_device(device))
    data = load_data(
        DataConfig(source=source, class_names=trained.class_names, **dataclasses.asdict(trained.preprocessing))
    )
    return trained, measure(trained, data.split(split), track=lambda batches: track(batches, f"scoring {split}"))


def sample(
    run: str | Path,
    out: Path,
    *,
    classes: list[str] | None = None,
    count: int = 25,
    temperature: float = 1.0,
    seed: int = 0,
    device: str = "auto",
) -> list[Path]:
    """Draws images and saves each as a PNG, `class-0000.png` and on.

    Args:
        run: A run folder or weights file.
        out: The folder to save into; none of the files may exist.
        classes: Names or numbers of classes; None for all.
        count: Images of each class.

    Returns:
        The files, class by class.
    """
    if count < 1:
        raise InputError(f"n is {count}, expected at least 1")
    if not temperature > 0:
        raise InputError(f"temperature is {temperature}, expected a number above 0")
    trained = checkpoint.load(run, pick_device(device))
    labels = list(dict.fromkeys(map(trained.label, classes or trained.class_names)))  # each once
    names = [_safe(trained.class_names[label]) for label in labels]
    if len(set(names)) < len(names):  # "a b" and "a_b"
        names = [f"{name}-{label}" for name, label in zip(names, labels, strict=True)]
    _check_folder(out)
    files = [[out / f"{name}-{index:04d}.png" for index in range(count)] for name in names]
    taken = [file for of_class in files for file in of_class if file.exists()]
    if taken:
        raise InputError(f"{taken[0]} exists, and {len(taken) - 1} more; give another --out")
    drawn = sample_classes(trained.network, labels, count, seed=seed, temperature=temperature, track=_rows)
    for of_class, pixels in zip(files, drawn, strict=True):
        for file, image in zip(of_class, pixels, strict=True):
            save_image(file, image, trained.preprocessing.levels)
    return [file for of_class in files for file in of_class]


def _safe(name: str) -> str:
    """A class name as part of a file name."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


def classify(run: str | Path, images: list[Path], *, device: str = "auto") -> tuple[Checkpoint, Measurement]:
    """Scores image files, and those in folders, under every class of a network.

    Raises:
        InputError: If there is no image, or files cannot be read: all of them at once.
    """
    trained = checkpoint.load(run, pick_device(device))
    files = [file for path in images for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    files = [file for file in files if not file.name.startswith(".")]
    pixels, faults = [], []
    for file in files:
        try:
            pixels.append(trained.preprocessing(open_image(file)))
        except InputError as error:
            faults.append(str(error))
    if faults or not pixels:
        raise InputError.listing(faults or [f"{', '.join(map(str, images))}: no image to classify; name image files"])
    unlabelled = torch.full((len(pixels),), NO_LABEL)
    split = Split(torch.stack(pixels), unlabelled, tuple(map(str, files)))
    return trained, measure(trained, split, track=lambda batches: track(batches, "scoring"))


def new_run_folder(name: str) -> Path:
    """A folder under runs/, named by the time and by what it is for, that is not yet there."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path("runs") / f"{stamp}-{name}"
    count = 1
    while folder.exists():
        count += 1
        folder = Path("runs") / f"{stamp}-{name}-{count}"
    return folder


def command_line() -> str:
    """The command that is running, as one would type it."""
    return shlex.join(["pixelbayes", *sys.argv[1:]])
