"""Trained networks that take images in any form. `pixelbayes.load` returns them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self, cast, overload

import torch
from torch import Tensor

from pixelbayes.checkpoints import checkpoint, hub, merging
from pixelbayes.checkpoints.trained import Ensemble, Trained, TrainedClassifier, TrainedNetwork, TrainedPixelCNN
from pixelbayes.data import Split
from pixelbayes.evaluation.measure import DEFAULT_SCORING, Measurement, calibrate, measure
from pixelbayes.experiments.measure import load_data_for, measure_split
from pixelbayes.images.reading import AnyImages, read_images
from pixelbayes.inference import SamplingConfig, ScoringConfig, sample_class
from pixelbayes.metrics.conformal import COVERAGE, set_members
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import Tracker, no_progress


def measure_images(
    trained: Trained,
    images: AnyImages,
    scoring: ScoringConfig = DEFAULT_SCORING,
    *,
    track: Tracker = no_progress,
) -> Measurement:
    """Scores images in any form under every class.

    Args:
        trained: A network, or an ensemble, on the device to use.
        images: Files, folders, PIL images, uint8 arrays or tensors; see `read_images`.
        scoring: How to score them; by default with the passes that the network was calibrated with.
        track: Wraps the loop over batches, to show progress.

    Raises:
        InputError: If there is no image, or some cannot be read; the message has one line per fault.
    """
    pixels, names = read_images(images, trained.preprocessing)
    return measure(trained, Split(pixels, torch.full((len(pixels),), NO_LABEL), names), scoring, track=track)


class Predictor(Trained):
    """A trained network that classifies images in any form.

    Images are files, folders, PIL images, uint8 arrays (N, H, W) or (N, H, W, C), uint8 tensors (N, C, H, W), or a list
    of single images. Files, PIL images and arrays of another size are resized as in training; arrays of the network's
    own size hold its levels, as its samples do. See `images.reading.read_images`.

    >>> trained = load("digits")
    >>> trained.predict(trained.sample("7", 2))
    ['7', '7']
    """

    calibrated_by: ClassVar[str] = "pixelbayes calibrate"
    """what fits a temperature and the threshold of prediction sets, for messages"""

    @classmethod
    def of(cls, trained: Trained) -> Self:
        """The same network with these methods."""
        return cls(**{field.name: getattr(trained, field.name) for field in dataclasses.fields(trained)})

    def predict(self, images: AnyImages) -> list[str]:
        """The name of the most probable class of each image.

        Raises:
            InputError: If there is no image, or some cannot be read.
        """
        return [self.class_names[label] for label in measure_images(self, images).predicted.tolist()]

    def predict_proba(self, images: AnyImages) -> Tensor:
        """p(c | x) of each image, float64 (N, Y), in the order of `class_names`.

        It is scored with the passes that the temperature was fitted for, and calibrated if there is a temperature.

        Raises:
            InputError: If there is no image, or some cannot be read.
        """
        return measure_images(self, images).posterior

    def predict_set(self, images: AnyImages) -> list[tuple[str, ...]]:
        """The names of the classes that each image may have; see `metrics.conformal`.

        Raises:
            InputError: If the network has no threshold for prediction sets; if there is no image, or some cannot be
                read.
        """
        if self.calibration is None or self.calibration.sets is None:
            raise InputError(f"the network has no threshold for prediction sets; `{self.calibrated_by}` fits one")
        return set_members(cast(Tensor, measure_images(self, images).sets), self.class_names)


class DensityPredictor(Predictor):
    """A density that takes images in any form: it classifies and scores them."""

    def log_prob(self, images: AnyImages) -> Tensor:
        """log p(x | c) of each image under every class, float64 (N, Y), in nats, in the order of `class_names`.

        Raises:
            InputError: If there is no image, or some cannot be read.
        """
        return cast(Tensor, measure_images(self, images).log_prob)  # not None, because it has a density


class PixelCNNPredictor(DensityPredictor, TrainedPixelCNN):
    """A PixelCNN++ that takes images in any form: it classifies, scores and generates them."""

    def sample(self, label: str, count: int = 1, seed: int = 0, guidance: float = 0.0) -> Tensor:
        """Draws images of a class. The same seed gives the same images.

        Args:
            label: The class, as in `label()`.
            count: How many.
            seed: Random seed.
            guidance: w of classifier-free guidance, as in `SamplingConfig`.

        Returns:
            uint8 levels, (count, C, H, W), on the CPU; `predict` takes them, and `save_image` writes them.

        Raises:
            InputError: If there is no such class, `count` is below 1, or the network does not support guidance.
        """
        self.check_guidance(guidance)
        return sample_class(self.network, self.label(label), SamplingConfig(count=count, seed=seed, guidance=guidance))


class ClassifierPredictor(Predictor, TrainedClassifier):
    """A dedicated classifier that takes images in any form."""


class EnsemblePredictor(DensityPredictor, Ensemble):
    """Several PixelCNN++ that take images in any form, and classify and score them as one density, their mixture.

    Samples are those of its `members`, each of which draws its own.
    """

    calibrated_by = "calibrated(source)"

    def calibrated(self, source: str, split: str = "validation", coverage: float = COVERAGE) -> Self:
        """The same ensemble with a temperature and prediction sets of its own, as `pixelbayes calibrate` fits them.

        Args:
            source: The data, as in `DataConfig`.
            split: A split that none of its networks was trained on.
            coverage: The probability that a prediction set holds the class of an image, above 0 and below 1.

        Raises:
            InputError: If the data cannot be read, or lack labels of two or more classes.
        """
        measurement = measure_split(self, load_data_for(self, source).split(split), split)
        return dataclasses.replace(self, calibration=calibrate(self, measurement, source, split, coverage))


def make_ensemble(networks: Sequence[TrainedPixelCNN], names: Sequence[str] = ()) -> EnsemblePredictor:
    """An ensemble of compatible networks, ready for images in any form.

    Args:
        networks: The networks.
        names: Their names in messages; "network 1" and so on by default.

    Raises:
        InputError: If a network is named twice or differs from the first in classes, preprocessing, prior or division
            of the data.
    """
    return EnsemblePredictor.of(merging.make_ensemble(networks, names))


@overload
def predictor(trained: TrainedPixelCNN) -> PixelCNNPredictor: ...
@overload
def predictor(trained: TrainedClassifier) -> ClassifierPredictor: ...
@overload
def predictor(trained: TrainedNetwork) -> PixelCNNPredictor | ClassifierPredictor: ...
def predictor(trained: TrainedNetwork) -> PixelCNNPredictor | ClassifierPredictor:
    """The same network, which takes images in any form."""
    return PixelCNNPredictor.of(trained) if isinstance(trained, TrainedPixelCNN) else ClassifierPredictor.of(trained)


def load(run: str | Path, device: str | torch.device = "cpu") -> PixelCNNPredictor:
    """Loads a PixelCNN++, ready for images in any form.

    Args:
        run: A run folder, a weights file or the name of a bundled network.
        device: The device to load it to.

    Raises:
        InputError: If the file is missing, damaged or not a PixelCNN++, or the calibration record beside it is damaged.
    """
    return predictor(checkpoint.load(run, device))


def load_classifier(run: str | Path, device: str | torch.device = "cpu") -> ClassifierPredictor:
    """Loads a dedicated classifier; else as `load`."""
    return predictor(checkpoint.load_classifier(run, device))


def load_any(run: str | Path, device: str | torch.device = "cpu") -> PixelCNNPredictor | ClassifierPredictor:
    """Loads a network of either kind; else as `load`."""
    return predictor(checkpoint.load_any(run, device))


def from_pretrained(
    name: str | Path, *, revision: str | None = None, device: str | torch.device = "cpu"
) -> PixelCNNPredictor | ClassifierPredictor:
    """Loads a network of either kind from a folder or the Hugging Face hub; see `checkpoints.hub.from_pretrained`."""
    return predictor(hub.from_pretrained(name, revision=revision, device=device))
