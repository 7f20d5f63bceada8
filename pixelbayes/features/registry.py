"""Feature extractors by name."""

from pathlib import Path

import torch

from pixelbayes.checkpoints.checkpoint import BaselineCheckpoint
from pixelbayes.features.base import Extractor
from pixelbayes.features.classifier import DomainFeatures
from pixelbayes.features.inception import FidelityFeatures, InceptionFeatures
from pixelbayes.features.inception_weights import find_weights
from pixelbayes.utils.errors import InputError

EXTRACTORS = ("domain", "inception-64", "inception-192", "inception-2048")


def make_extractor(
    name: str = "domain",
    *,
    classifier: BaselineCheckpoint | None = None,
    inception_weights: Path | None = None,
    device: torch.device | str = "cpu",
) -> Extractor:
    """The extractor of that name.

    Args:
        name: One of EXTRACTORS.
        classifier: A dedicated classifier of the same data, for `domain`; it stays on its own device.
        inception_weights: As in `find_weights`, for the others.
        device: Where the others compute.

    Raises:
        InputError: If there is no such extractor, or what it needs is missing.

    >>> make_extractor("vgg")
    Traceback (most recent call last):
    pixelbayes.utils.errors.InputError: extractor is 'vgg', expected domain, inception-64, inception-192, inception-2048
    """
    if name not in EXTRACTORS:
        raise InputError(f"extractor is {name!r}, expected {', '.join(EXTRACTORS)}")
    if name == "domain":
        if classifier is None:
            raise InputError(
                "extractor domain needs a dedicated classifier of the same data; train one with `pixelbayes baseline` "
                "and name its run, or take another extractor"
            )
        return DomainFeatures(classifier)
    if name == FidelityFeatures.name:
        return FidelityFeatures(inception_weights, device)
    return InceptionFeatures(int(name.removeprefix("inception-")), find_weights(inception_weights), device)
