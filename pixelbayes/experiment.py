"""The one path from a config to results: all that the command line, a sweep or a test does goes through here."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pixelbayes import checkpoint
from pixelbayes.checkpoint import Checkpoint
from pixelbayes.data import AugmentationConfig, DataConfig, ImageData, Split, load_data
from pixelbayes.devices import is_first_process, pick_device
from pixelbayes.errors import InputError
from pixelbayes.evaluation.measure import Measurement, measure
from pixelbayes.files import safe_name
from pixelbayes.fusion import NO_LABEL
from pixelbayes.images import open_image, save_image
from pixelbayes.inference import Given, sample_classes
from pixelbayes.model import Architecture, PixelCNN, PixelCNNConfig
from pixelbayes.pixels import to_x
from pixelbayes.progress import track
from pixelbayes.runs import RunConfig, augmented_images, begin, check_folder, command_line, run_facts
from pixelbayes.training import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(RunConfig):
    """Everything that decides a run."""

    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: Architecture = field(default_factory=Architecture)
    training: TrainingConfig = field(default_factory=TrainingConfig)


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
        The figures, as in metrics.json; under `torchrun` those of the first process, of any other none.

    Raises:
        InputError: If the data is faulty, or the folder holds a run already, or another one than is to be resumed.
        DivergedError: If a loss is not finite.
        InterruptedRunError: If asked to stop; the run can be resumed.
    """
    from pixelbayes.training.fitting import fit  # Lightning takes seconds to import
    from pixelbayes.training.module import TrainingModule

    data, summary = begin(config, run, resume=resume, report_on=report_on)
    network = build_network(config, data)
    module = TrainingModule(network, config.training, data, config.seed, augmentation=config.augmentation)
    history = fit(module, run, about={"experiment": config.as_plain(), "command": command_line()})
    if not is_first_process():
        return {}
    trained = checkpoint.load(run, pick_device(config.training.device))
    return _report(run, trained, data, report_on, config, summary, history)


def dry_run(config: ExperimentConfig) -> dict[str, str]:
    """What `train` would cost: parameters, time and memory, measured on a few steps; writes nothing."""
    from pixelbayes.training.estimate import estimate

    data = load_data(config.data)
    return estimate(build_network(config, data), config.training, data)


def build_network(config: ExperimentConfig, data: ImageData) -> PixelCNN:
    """A network at its start, its weights a function of the seed; the data tell classes, channels, levels and size."""
    shape = PixelCNNConfig(
        **dataclasses.asdict(config.model),
        num_classes=len(data.class_names),
        channels=data.preprocessing.channels,
        levels=data.preprocessing.levels,
        image_size=data.preprocessing.image_size,
    )
    if config.model.normalise:
        mean, std = _moments(data)
        shape = dataclasses.replace(shape, mean=mean, std=std)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return PixelCNN(shape)


def _moments(data: ImageData) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of x over the training images, for each channel."""
    x = to_x(data.split("train").pixels, data.preprocessing.levels, torch.float64)  # (N, C, H, W)
    std, mean = torch.std_mean(x, dim=(0, 2, 3), correction=0)
    return tuple(mean.tolist()), tuple(std.clamp(min=1e-3).tolist())  # a channel that never varies stays finite


def _report(
    run: Path,
    trained: Checkpoint,
    data: ImageData,
    split: str,
    config: ExperimentConfig,
    summary: dict[str, Any],
    history: list[dict[str, float]],
) -> dict[str, Any]:
    """Measures and shows what a run has trained."""
    from pixelbayes.evaluation.results import write_results

    measurement = measure(trained, data.split(split), track=lambda batches: track(batches, f"scoring {split}"))
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
        split=split,
        samples=samples,
        augmented=augmented_images(data, config.augmentation, config.seed),
        history=history,
        data_summary=summary,
        config_text=config.as_yaml(),
        command=trained.about["command"],
        facts=run_facts(trained, config, history),
    )


def _rows(rows: Sequence[int]) -> Iterable[int]:
    return track(rows, "sampling, row by row")


def evaluate(
    run: str | Path, source: str, split: str, *, device: str = "auto", plain: bool = False
) -> tuple[Checkpoint, Measurement]:
    """Measures a run's best weights, or a weights file, on a split of any data with its classes; changes no file.

    `plain` is that of `measure`.
    """
    trained = checkpoint.load(run, pick_device(device))
    data = load_data(
        DataConfig(source=source, class_names=trained.class_names, **dataclasses.asdict(trained.preprocessing))
    )
    return trained, measure(
        trained, data.split(split), plain=plain, track=lambda batches: track(batches, f"scoring {split}")
    )


def sample(
    run: str | Path,
    out: Path,
    *,
    classes: list[str] | None = None,
    count: int = 25,
    temperature: float = 1.0,
    guidance: float = 0.0,
    seed: int = 0,
    given: Path | None = None,
    rows: int | None = None,
    pixels: int | None = None,
    plain: bool = False,
    compiled: bool | None = None,
    device: str = "auto",
) -> list[Path]:
    """Draws images and saves each as a PNG, `class-0000.png` and on.

    Args:
        run: A run folder or weights file.
        out: The folder to save into; none of the files may exist.
        classes: Names or numbers of classes; None for all.
        count: Images of each class.
        given: An image file to complete: its first `rows` rows, or its first `pixels` pixels, are kept.
        temperature, guidance, seed, plain, compiled: As in `sample_classes`.

    Returns:
        The files, class by class.
    """
    if count < 1:
        raise InputError(f"n is {count}, expected at least 1")
    if not temperature > 0:
        raise InputError(f"temperature is {temperature}, expected a number above 0")
    trained = checkpoint.load(run, pick_device(device))
    labels = list(dict.fromkeys(map(trained.label, classes or trained.class_names)))  # each once
    names = [safe_name(trained.class_names[label]) for label in labels]
    if len(set(names)) < len(names):  # "a b" and "a_b"
        names = [f"{name}-{label}" for name, label in zip(names, labels, strict=True)]
    check_folder(out)
    files = [[out / f"{name}-{index:04d}.png" for index in range(count)] for name in names]
    taken = [file for of_class in files for file in of_class if file.exists()]
    if taken:
        raise InputError(f"{taken[0]} exists, and {len(taken) - 1} more; give another --out")
    drawn = sample_classes(
        trained.network,
        labels,
        count,
        seed=seed,
        temperature=temperature,
        guidance=guidance,
        given=_given(trained, given, rows, pixels) if given else None,
        plain=plain,
        compiled=compiled,
        track=_rows,
    )
    for of_class, series in zip(files, drawn, strict=True):
        for file, image in zip(of_class, series, strict=True):
            save_image(file, image, trained.preprocessing.levels)
    return [file for of_class in files for file in of_class]


def _given(trained: Checkpoint, image: Path, rows: int | None, pixels: int | None) -> Given:
    height, width = trained.network.config.image_size
    name, kept, most = ("rows", rows, height) if rows is not None else ("pixels", pixels or 0, height * width)
    if not 0 <= kept <= most:
        raise InputError(f"{name} is {kept}, expected 0 to {most}: the network's images are {height} x {width}")
    return Given(trained.preprocessing(open_image(image))[None], kept * width if name == "rows" else kept)


def classify(
    run: str | Path, images: list[Path], *, device: str = "auto", plain: bool = False
) -> tuple[Checkpoint, Measurement]:
    """Scores image files, and those in folders, under every class of a network.

    `plain` is that of `measure`.

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
    return trained, measure(trained, split, plain=plain, track=lambda batches: track(batches, "scoring"))
