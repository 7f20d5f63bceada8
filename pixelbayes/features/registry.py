"""Feature extractors by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.features.base import Extractor
from pixelbayes.features.classifier import ClassifierFeatures
from pixelbayes.features.inception import InceptionFeatures, TorchFidelityFeatures
from pixelbayes.utils.errors import InputError

INCEPTION: dict[str, Callable[[Path | None, torch.device | str], Extractor]] = {
    "inception-64": partial(InceptionFeatures, 64),
    "inception-192": partial(InceptionFeatures, 192),
    "inception-2048": TorchFidelityFeatures,
}
"""Makers of the extractors that need the weights of the FID Inception network."""

EXTRACTORS = ("classifier", *INCEPTION)
"""Names of all extractors."""


def make_extractor(
    name: str = "classifier",
    *,
    classifier: TrainedClassifier | None = None,
    inception_weights: Path | None = None,
    device: torch.device | str = "cpu",
) -> Extractor:
    """The extractor with a name.

    Args:
        name: One of EXTRACTORS.
        classifier: A dedicated classifier of the same data, for "classifier"; it computes on its own device.
        inception_weights: File of the weights for the other extractors; None as in `inception_weights.load_weights`.
        device: Where the other extractors compute.

    Raises:
        InputError: If the name is unknown, or something that the extractor needs is missing.

    >>> make_extractor("vgg")  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
    pixelbayes.utils.errors.InputError: features is 'vgg',
        expected one of: classifier, inception-64, inception-192, inception-2048
    """
    if name not in EXTRACTORS:
        raise InputError(f"features is {name!r}, expected one of: {', '.join(EXTRACTORS)}")
    if name != "classifier":
        return INCEPTION[name](inception_weights, device)
    if classifier is None:
        raise InputError(
            "features `classifier` need a dedicated classifier of the same data; train one with `pixelbayes baseline` "
            "and name its run, or use other features"
        )
    return ClassifierFeatures(classifier)
