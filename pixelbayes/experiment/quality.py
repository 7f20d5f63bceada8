"""From weights to samples on disk, and from samples to FID, KID and what else tells how good they are."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.checkpoint import Checkpoint
from pixelbayes.data import load_data
from pixelbayes.devices import pick_device
from pixelbayes.domain import domain_classifier
from pixelbayes.errors import InputError
from pixelbayes.evaluation.generation import (
    SampleQuality,
    Samples,
    draw_samples,
    make_extractor,
    measure_quality,
    nearest_neighbours,
    read_samples,
)
from pixelbayes.experiment.measuring import data_for
from pixelbayes.inference import sample_images
from pixelbayes.progress import tracker


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """What samples are a function of, besides the weights."""

    count: int = 25  # of each class
    seed: int = 0  # which images of the endless series
    temperature: float = 1.0  # T of p^(1/T); 1 samples the model as it is
    guidance: float = 0.0  # w of classifier-free guidance

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"{self.count} samples of each class, expected at least 1")
        if not self.temperature > 0:
            raise InputError(f"temperature is {self.temperature}, expected a number above 0")


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """What samples and real images are compared by."""

    features: str = "domain"  # domain, inception-64, inception-192 or inception-2048
    classifier: Path | None = None  # a run of `pixelbayes baseline`; None: one is trained on the data and kept
    inception_weights: Path | None = None  # of the FID Inception network; None: looked for, then fetched
    reference_size: tuple[int, int] | None = None  # H, W of the real images; None: the network's own


def draw(trained: Checkpoint, folder: Path, config: SamplingConfig, *, overwrite: bool = False) -> Samples:
    """Samples of every class in a folder, of which only those are drawn that are not there yet.

    Raises:
        InputError: If the folder holds anything else, or other samples.
    """
    on_cpu = next(trained.network.parameters()).device.type == "cpu"

    def images(label: Tensor, index: Tensor) -> Tensor:
        return sample_images(
            trained.network,
            label,
            index,
            seed=config.seed,
            temperature=config.temperature,
            guidance=config.guidance,
        )

    draw_samples(
        folder,
        images,
        trained.class_names,
        config.count,
        levels=trained.preprocessing.levels,
        settings={
            "weights": trained.digest,
            "image_size": trained.preprocessing.image_size,
            "seed": config.seed,
            "temperature": config.temperature,
            "guidance": config.guidance,
        },
        overwrite=overwrite,
        batch_size=100 if on_cpu else 256,  # what is killed loses one batch
        track=tracker("drawing samples, batch by batch"),
    )
    return read_samples(folder, trained.class_names, trained.preprocessing)


def judge(
    trained: Checkpoint, samples: Samples, source: str, split: str, config: FeatureConfig, *, device: str = "auto"
) -> tuple[SampleQuality, Figure | None]:
    """How good samples are, beside the images of a split; and those nearest to a training image, if there are any.

    The samples are read by a dedicated classifier if the features are its own, or one is named.

    Raises:
        InputError: If features cannot be had, or do not fit the images.
    """
    own = data_for(trained, source)
    data = load_data(own)
    wanted = config.features == "domain" or config.classifier is not None
    classifier = domain_classifier(own, run=config.classifier, device=device) if wanted else None
    extractor = make_extractor(
        config.features, classifier=classifier, inception_weights=config.inception_weights, device=pick_device(device)
    )
    size = config.reference_size or trained.preprocessing.image_size
    reference = load_data(data_for(trained, source, size)) if config.reference_size else data
    train = data.splits.get("train")
    held_out = data.splits.get("test" if split == "train" else split)
    quality = measure_quality(
        samples.pixels,
        trained.preprocessing.levels,
        samples.class_names,
        reference=reference.split(split),
        reference_name=f"{source}, {split}, {size[0]} x {size[1]}",
        extractor=extractor,
        classifier=classifier,
        train=train,
        held_out=held_out,
        track=tracker("features, batch by batch"),
    )
    if train is None or quality.memorising is None:
        return quality, None
    flat = samples.pixels.flatten(0, 1)
    return quality, nearest_neighbours(flat, train.pixels, quality.memorising.neighbours, trained.preprocessing.levels)
