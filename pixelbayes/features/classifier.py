"""Features and predictions of a dedicated classifier that was trained on the same data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.features.base import in_batches
from pixelbayes.images.pixels import to_x
from pixelbayes.metrics.classification import wilson_interval
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import Tracker, no_progress

BATCH = 256


class ClassifierFeatures:
    """The penultimate layer of a dedicated classifier, an `Extractor` that needs no download.

    Its name contains the digest of the weights, because each training yields another feature space.

    Args:
        classifier: Result of `pixelbayes baseline`, on the device to use.
    """

    def __init__(self, classifier: TrainedClassifier):
        self.classifier = classifier
        self.name = f"classifier-{classifier.digest[:8]}"
        self.dims = classifier.network.num_features

    def __call__(self, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
        return _apply(self.classifier, self.classifier.network.embed, pixels, levels, track)


def predict_classes(classifier: TrainedClassifier, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
    """The class that a dedicated classifier predicts for each image, int64 (N,) in 0 .. Y-1.

    Args:
        classifier: The classifier.
        pixels: uint8 (N, C, H, W), in 0 .. levels-1.
        levels: Number of values a colour can take.
        track: Wraps the loop over batches, to show progress.

    Raises:
        InputError: If the images have another shape than the classifier takes.
    """
    return _apply(classifier, classifier.network, pixels, levels, track).argmax(dim=1)


@dataclass(frozen=True)
class ConditionalAccuracy:
    """Class agreement: how often a dedicated classifier predicts the class that a sample was drawn from."""

    share: float
    """fraction of all samples"""
    interval: tuple[float, float]
    """95%, Wilson"""
    per_class: dict[str, float]
    """fraction of the samples of each class"""
    classifier: str
    """digest of the weights of the classifier"""

    @classmethod
    def of(
        cls,
        classifier: TrainedClassifier,
        samples: Tensor,
        levels: int,
        class_names: Sequence[str],
        track: Tracker = no_progress,
    ) -> "ConditionalAccuracy":
        """Classifies samples and compares the predictions with the classes they were drawn from, by name.

        Args:
            classifier: The classifier.
            samples: uint8 (Y, n, C, H, W), in 0 .. levels-1, n samples of each class.
            levels: Number of values a colour can take.
            class_names: Y names.
            track: Wraps the loop over batches, to show progress.

        Raises:
            InputError: If the samples have another shape than the classifier takes, or it does not know a class.
        """
        for name in class_names:
            if name not in classifier.class_names:
                available = ", ".join(classifier.class_names)
                raise InputError(
                    f"the dedicated classifier has no class {name!r}, only {available}; name one that has all classes"
                )
        label = torch.tensor([classifier.class_names.index(name) for name in class_names])  # (Y,)
        predicted = predict_classes(classifier, samples.flatten(0, 1), levels, track).view(samples.shape[:2])  # (Y, n)
        agrees = predicted == label[:, None]
        return cls(
            share=float(agrees.double().mean()),
            interval=wilson_interval(int(agrees.sum()), agrees.numel()),
            per_class=dict(zip(class_names, agrees.double().mean(dim=1).tolist(), strict=True)),
            classifier=classifier.digest,
        )


def _apply(
    classifier: TrainedClassifier, layer: Callable[[Tensor], Tensor], pixels: Tensor, levels: int, track: Tracker
) -> Tensor:
    expected = classifier.image_shape
    channels, height, width = pixels.shape[1:]
    if (channels, height, width, levels) != (*expected.chw, expected.levels):
        raise InputError(
            f"images have {height} x {width} pixels, {channels} channel{'s' * (channels > 1)}, {levels} levels, the "
            f"dedicated classifier takes {expected}; train one on these images with `pixelbayes baseline`"
        )
    weight = next(classifier.network.parameters())
    return in_batches(
        lambda batch: layer(to_x(batch, levels, weight.dtype)),
        pixels,
        batch_size=BATCH,
        device=weight.device,
        track=track,
    )
