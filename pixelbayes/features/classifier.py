"""What a dedicated classifier of the same data makes of an image: features, and a class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.checkpoints.checkpoint import BaselineCheckpoint
from pixelbayes.features.base import in_batches
from pixelbayes.images.pixels import to_x
from pixelbayes.metrics.classification import wilson_interval
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import Tracker, no_progress

BATCH = 256


class DomainFeatures:
    """The penultimate layer of a classifier trained on the same data; needs nothing from outside.

    Args:
        classifier: What `pixelbayes baseline` trained, on the device to use. Its name is that of its weights, since
            two trainings give two feature spaces.
    """

    def __init__(self, classifier: BaselineCheckpoint):
        self.classifier = classifier
        self.name = f"domain-{classifier.digest[:8]}"
        self.dims = classifier.network.config.widths[-1]

    def __call__(self, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
        return _computed(self.classifier, self.classifier.network.embed, pixels, levels, track)


def read_classes(classifier: BaselineCheckpoint, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
    """The class that a dedicated classifier names for each image, int64 (N,) in 0 .. Y-1.

    Raises:
        InputError: If it takes other images.
    """
    return _computed(classifier, classifier.network, pixels, levels, track).argmax(dim=1)


@dataclass(frozen=True)
class ReadAsAsked:
    """How often a dedicated classifier names the class that a sample was drawn for."""

    share: float
    interval: tuple[float, float]  # 95%, Wilson
    per_class: dict[str, float]
    classifier: str  # the name of its weights

    @classmethod
    def of(
        cls,
        classifier: BaselineCheckpoint,
        samples: Tensor,
        levels: int,
        class_names: Sequence[str],
        track: Tracker = no_progress,
    ) -> "ReadAsAsked":
        """Reads samples uint8 (Y, n, C, H, W), n of each class.

        Raises:
            InputError: If the classifier takes other images, or does not know a class.
        """
        unknown = [name for name in class_names if name not in classifier.class_names]
        if unknown:
            known = ", ".join(classifier.class_names)
            raise InputError(f"the dedicated classifier does not know {unknown[0]!r}, only {known}; take one that does")
        asked = torch.tensor([classifier.class_names.index(name) for name in class_names])
        read = read_classes(classifier, samples.flatten(0, 1), levels, track).view(samples.shape[:2])  # (Y, n)
        right = read == asked[:, None]
        return cls(
            share=float(right.double().mean()),
            interval=wilson_interval(int(right.sum()), right.numel()),
            per_class=dict(zip(class_names, right.double().mean(dim=1).tolist(), strict=True)),
            classifier=classifier.digest,
        )


def _computed(
    classifier: BaselineCheckpoint, layer: Callable[[Tensor], Tensor], pixels: Tensor, levels: int, track: Tracker
) -> Tensor:
    config = classifier.network.config
    given, taken = (*pixels.shape[1:], levels), (config.channels, *config.image_size, config.levels)
    if given != taken:
        raise InputError(
            f"images are {_described(*given)}, the dedicated classifier takes {_described(*taken)}; "
            "train one on these images with `pixelbayes baseline`"
        )
    weight = next(classifier.network.parameters())
    return in_batches(
        lambda batch: layer(to_x(batch, levels, weight.dtype)),
        pixels,
        batch_size=BATCH,
        device=weight.device,
        track=track,
    )


def _described(channels: int, height: int, width: int, levels: int) -> str:
    return f"{channels} x {height} x {width} with {levels} levels"
