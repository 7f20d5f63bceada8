"""Class-conditional PixelCNN++: generate, classify by Bayes' rule, and know how sure you are.

>>> import pixelbayes
>>> trained = pixelbayes.load("runs/mine")  # doctest: +SKIP
>>> trained.network, trained.class_names, trained.preprocessing, trained.prior  # doctest: +SKIP
"""

from importlib import import_module
from typing import Any

from pixelbayes.version import __version__

_HOMES = {
    "BayesClassifier": "inference",
    "Checkpoint": "checkpoint",
    "Condition": "fusion",
    "Ensemble": "inference",
    "FUSIONS": "fusion",
    "Given": "inference",
    "MixtureOfLogistics": "likelihood",
    "PixelCNN": "model",
    "PixelCNNConfig": "model",
    "Scorer": "inference",
    "average_weights": "merging",
    "bits_per_dim": "likelihood",
    "from_pretrained": "pretrained",
    "load": "checkpoint",
    "push_to_hub": "pretrained",
    "sample": "inference",
    "sample_cached": "inference",
    "sample_class": "inference",
    "sample_classes": "inference",
    "sample_images": "inference",
    "sampling_noise": "inference",
    "save": "checkpoint",
    "save_pretrained": "pretrained",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `pixelbayes --help` need not wait for PyTorch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pixelbayes' has no attribute {name!r}")
    return getattr(import_module(f"pixelbayes.{_HOMES[name]}"), name)
