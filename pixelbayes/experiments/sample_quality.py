"""From weights to samples on disk, and from samples to FID, KID and what else tells how good they are."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.checkpoints.checkpoint import BaselineCheckpoint, Checkpoint
from pixelbayes.data import DataConfig, ImageData, Split, load_data
from pixelbayes.evaluation.measure import check_fit
from pixelbayes.evaluation.sample_folder import Samples, draw_samples, read_samples
from pixelbayes.evaluation.sample_quality import SampleQuality, measure_quality
from pixelbayes.experiments.feature_classifier import domain_classifier
from pixelbayes.experiments.measure import data_for
from pixelbayes.features.base import Extractor
from pixelbayes.features.registry import make_extractor
from pixelbayes.inference import sample_images
from pixelbayes.plots.neighbours import nearest_neighbours
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import tracker


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


def prepare_features(
    data: DataConfig, config: FeatureConfig, device: str = "auto"
) -> tuple[Extractor, BaselineCheckpoint | None]:
    """What turns such images into features, and the dedicated classifier: if the features are its own, or it is named.

    Raises:
        InputError: If one of them cannot be had.
    """
    wanted = config.features == "domain" or config.classifier is not None
    classifier = domain_classifier(data, run=config.classifier, device=device) if wanted else None
    extractor = make_extractor(
        config.features, classifier=classifier, inception_weights=config.inception_weights, device=pick_device(device)
    )
    return extractor, classifier


@dataclass(frozen=True, eq=False)
class Judge:
    """Says how good samples are; ready before any is drawn, for what is wrong with features or data is soon told.

    Args:
        data: As the network takes it: its training images are those that samples may copy.
        split: The name of the real images' split.
        reference: The real images, at the size they are compared at.
        reference_name: What to call them.
        extractor: What samples and real images are compared by.
        classifier: Reads the class of samples, if given.
    """

    data: ImageData
    split: str
    reference: Split
    reference_name: str
    extractor: Extractor
    classifier: BaselineCheckpoint | None

    @classmethod
    def of(
        cls, trained: Checkpoint, source: str, split: str, config: FeatureConfig, *, device: str = "auto"
    ) -> "Judge":
        """For samples of a network, beside the images of a split.

        Raises:
            InputError: If the split holds no image, or features cannot be had, or cannot be taken of the images.
        """
        own = data_for(trained, source)
        data = load_data(own)
        size = config.reference_size or trained.preprocessing.image_size
        resized = load_data(data_for(trained, source, size)) if config.reference_size else data
        reference = resized.split(split)
        check_fit(trained, data.split(split))
        extractor, classifier = prepare_features(own, config, device)
        for images in (reference, data.split(split)):
            extractor(images.pixels[:1], trained.preprocessing.levels)  # says if it takes another size
        return cls(data, split, reference, f"{source}, {split}, {size[0]} x {size[1]}", extractor, classifier)

    def __call__(self, samples: Samples) -> tuple[SampleQuality, Figure | None]:
        """All figures; and those samples that are nearest to a training image, if there are any."""
        levels, train = self.data.preprocessing.levels, self.data.splits.get("train")
        quality = measure_quality(
            samples.pixels,
            levels,
            samples.class_names,
            reference=self.reference,
            reference_name=self.reference_name,
            extractor=self.extractor,
            classifier=self.classifier,
            train=train,
            held_out=self.data.splits.get("test" if self.split == "train" else self.split),
            track=tracker("features, batch by batch"),
        )
        if train is None or quality.memorising is None:
            return quality, None
        return quality, nearest_neighbours(
            samples.pixels.flatten(0, 1), train.pixels, quality.memorising.neighbours, levels
        )
