"""Draws samples into a folder, and measures their quality: FID, KID, class agreement and memorization."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from pixelbayes.checkpoints.trained import TrainedClassifier, TrainedNetwork, TrainedPixelCNN
from pixelbayes.data import DataConfig, ImageData, Split, load_data
from pixelbayes.evaluation.measure import check_fit
from pixelbayes.evaluation.sample_folder import Samples, draw_samples, read_samples
from pixelbayes.evaluation.sample_quality import SampleQuality, measure_quality
from pixelbayes.experiments.acceptance import Acceptance, sampling_settings
from pixelbayes.experiments.feature_classifier import feature_classifier
from pixelbayes.experiments.measure import data_for
from pixelbayes.experiments.sizes import check_samples_fit
from pixelbayes.features.base import Extractor
from pixelbayes.features.registry import make_extractor
from pixelbayes.inference import SamplingConfig, sample_images
from pixelbayes.plots.neighbours import nearest_neighbours
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import tracker

CPU_BATCH = 100  # samples drawn at a time on a CPU; an interrupted command loses one batch


@documented
@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """The features that compare samples with real images."""

    features: str = "classifier"
    """classifier (a dedicated classifier of the data), inception-64, inception-192 or inception-2048"""
    classifier: Path | None = None
    """run of `pixelbayes baseline`; by default one is trained on the data and cached"""
    inception_weights: Path | None = None
    """weights of the FID Inception network; by default they are searched for, then downloaded"""
    reference_size: tuple[int, int] | None = None
    """height and width of the real images; by default those of the network's images"""


def draw(
    trained: TrainedPixelCNN,
    folder: Path,
    config: SamplingConfig,
    *,
    acceptance: Acceptance | None = None,
    overwrite: bool = False,
) -> Samples:
    """Draws samples of every class into a folder. Samples that are there already are not drawn again.

    Args:
        trained: The network.
        folder: The folder.
        config: How to draw, and how many of each class.
        acceptance: Decides which draws are kept; None keeps the first draw of each sample.
        overwrite: Replace other samples in the folder.

    Raises:
        InputError: If the folder holds other samples or other files, or the network does not support guidance.
    """
    trained.check_guidance(config.guidance)
    check_samples_fit(trained.image_shape, config.count, len(trained.class_names))

    def images(label: Tensor, index: Tensor) -> Tensor:
        if acceptance is not None:
            return acceptance(label, index).pixels
        return sample_images(trained.network, label, index, config)

    draw_samples(
        folder,
        images,
        trained.class_names,
        config.count,
        levels=trained.image_shape.levels,
        settings={**sampling_settings(trained, config), **(acceptance.settings if acceptance else {})},
        overwrite=overwrite,
        batch_size=CPU_BATCH if trained.device.type == "cpu" else config.batch_size,
        track=tracker("drawing samples, batch by batch"),
    )
    return read_samples(folder, trained.class_names, trained.preprocessing)


def prepare_features(
    config: FeatureConfig, data_config: DataConfig, data: ImageData, device: str = "auto"
) -> tuple[Extractor, TrainedClassifier | None]:
    """The feature extractor, and the dedicated classifier if it is needed or named.

    Args:
        config: The features.
        data_config: The data config of the images.
        data: The images.
        device: The device to compute on.

    Raises:
        InputError: If one of them is not available.
    """
    is_needed = config.features == "classifier" or config.classifier is not None
    classifier = feature_classifier(data_config, data, run=config.classifier, device=device) if is_needed else None
    extractor = make_extractor(
        config.features, classifier=classifier, inception_weights=config.inception_weights, device=pick_device(device)
    )
    return extractor, classifier


@dataclass(frozen=True, eq=False)
class SampleEvaluator:
    """Measures the quality of samples. It is prepared before samples are drawn, so that faults are found early.

    Args:
        data: The data, as the network takes the images; samples are searched for copies of its training images.
        split: Name of the split of real images.
        reference: The real images, at the size they are compared at.
        reference_name: Name of the real images.
        extractor: The features that compare samples and real images.
        classifier: Classifies the samples, if given.
    """

    data: ImageData
    split: str
    reference: Split
    reference_name: str
    extractor: Extractor
    classifier: TrainedClassifier | None

    @classmethod
    def of(
        cls, trained: TrainedPixelCNN, data: ImageData, split: str, config: FeatureConfig, *, device: str = "auto"
    ) -> "SampleEvaluator":
        """Prepares to compare samples of a network with the images of a split.

        Args:
            trained: The network.
            data: The data, as the network takes the images.
            split: Name of the split of real images.
            config: The features.
            device: The device to compute on.

        Raises:
            InputError: If the split holds no image, or the features are not available for these images.
        """
        own = data_for(trained, data.source)
        size = config.reference_size or trained.image_shape.size
        resized = load_data(data_for(trained, data.source, size)) if config.reference_size else data
        reference = resized.split(split)
        check_fit(trained, data.split(split))
        extractor, classifier = prepare_features(config, own, data, device)
        for images in (reference, data.split(split)):
            extractor(images.pixels[:1], trained.image_shape.levels)  # raises if it does not take these images
        name = f"{data.source}, {split}, {size[0]} x {size[1]}"
        return cls(data, split, reference, name, extractor, classifier)

    def check_judge(self, judge: TrainedNetwork) -> None:
        """Checks that the samples are not measured by the classifier that accepts them.

        Raises:
            InputError: If they are, because FID and class agreement would then say nothing.
        """
        if self.classifier is not None and self.classifier.digest == judge.digest:
            raise InputError(
                "the judge is the classifier that measures the samples; accept them with another --judge, or measure "
                "them with another --classifier"
            )

    def __call__(self, samples: Samples) -> tuple[SampleQuality, Figure | None]:
        """All metrics; and a figure of the samples that are nearest to training images, if there are any."""
        levels, train = self.data.preprocessing.image_shape.levels, self.data.splits.get("train")
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
        if train is None or quality.memorization is None:
            return quality, None
        return quality, nearest_neighbours(
            samples.pixels.flatten(0, 1), train.pixels, quality.memorization.neighbours, levels
        )
