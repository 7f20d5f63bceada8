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
    "Checkpoint": "checkpoints.checkpoint",
    "Condition": "models.fusion",
    "Ensemble": "inference",
    "FUSIONS": "models.fusion",
    "Given": "inference",
    "MixtureOfLogistics": "models.likelihood",
    "PixelCNN": "models.pixelcnn",
    "PixelCNNConfig": "models.pixelcnn",
    "Scorer": "inference",
    "average_weights": "checkpoints.merging",
    "bits_per_dim": "models.likelihood",
    "from_pretrained": "checkpoints.hub",
    "load": "checkpoints.checkpoint",
    "push_to_hub": "checkpoints.hub",
    "sample": "inference",
    "sample_cached": "inference",
    "sample_class": "inference",
    "sample_classes": "inference",
    "sample_images": "inference",
    "sampling_noise": "inference",
    "save": "checkpoints.checkpoint",
    "save_pretrained": "checkpoints.hub",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `pixelbayes --help` need not wait for PyTorch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pixelbayes' has no attribute {name!r}")
    return getattr(import_module(f"pixelbayes.{_HOMES[name]}"), name)
