"""Class-conditional PixelCNN++: generates images, classifies them by Bayes' rule, and measures its confidence.

>>> import pixelbayes
>>> trained = pixelbayes.load("digits")
>>> samples = pixelbayes.sample_class(trained.network, trained.label("7"), pixelbayes.SamplingConfig(count=2))
>>> samples.shape  # uint8 levels
torch.Size([2, 1, 8, 8])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pixelbayes.version import __version__

if TYPE_CHECKING:
    from pixelbayes.checkpoints.checkpoint import load, load_any, load_classifier, save
    from pixelbayes.checkpoints.hub import from_pretrained, push_to_hub, save_pretrained
    from pixelbayes.checkpoints.merging import average_weights, make_ensemble
    from pixelbayes.checkpoints.provenance import Provenance
    from pixelbayes.checkpoints.trained import Ensemble, Trained, TrainedPixelCNN, TrainedResNet
    from pixelbayes.images.preprocessing import Preprocessing
    from pixelbayes.images.shape import ImageShape
    from pixelbayes.inference import (
        BayesClassifier,
        EnsembleDensity,
        MultiView,
        Prefix,
        SamplingConfig,
        Scorer,
        ScoringConfig,
        sample_cached,
        sample_class,
        sample_classes,
        sample_images,
        sample_reference,
        sampling_noise,
    )
    from pixelbayes.models.fusion import FUSIONS, Condition
    from pixelbayes.models.likelihood import MixtureOfLogistics, bits_per_dim
    from pixelbayes.models.pixelcnn import PixelCNN, PixelCNNConfig

_NAMES = {  # module -> public names; they are imported at first use, because PyTorch takes seconds to import
    "checkpoints.checkpoint": ("load", "load_any", "load_classifier", "save"),
    "checkpoints.hub": ("from_pretrained", "push_to_hub", "save_pretrained"),
    "checkpoints.merging": ("average_weights", "make_ensemble"),
    "checkpoints.provenance": ("Provenance",),
    "checkpoints.trained": ("Ensemble", "Trained", "TrainedPixelCNN", "TrainedResNet"),
    "images.preprocessing": ("Preprocessing",),
    "images.shape": ("ImageShape",),
    "inference": (
        "BayesClassifier",
        "EnsembleDensity",
        "MultiView",
        "Prefix",
        "SamplingConfig",
        "Scorer",
        "ScoringConfig",
        "sample_cached",
        "sample_class",
        "sample_classes",
        "sample_images",
        "sample_reference",
        "sampling_noise",
    ),
    "models.fusion": ("FUSIONS", "Condition"),
    "models.likelihood": ("MixtureOfLogistics", "bits_per_dim"),
    "models.pixelcnn": ("PixelCNN", "PixelCNNConfig"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "FUSIONS",
    "BayesClassifier",
    "Condition",
    "Ensemble",
    "EnsembleDensity",
    "ImageShape",
    "MixtureOfLogistics",
    "MultiView",
    "PixelCNN",
    "PixelCNNConfig",
    "Prefix",
    "Preprocessing",
    "Provenance",
    "SamplingConfig",
    "Scorer",
    "ScoringConfig",
    "Trained",
    "TrainedPixelCNN",
    "TrainedResNet",
    "__version__",
    "average_weights",
    "bits_per_dim",
    "from_pretrained",
    "load",
    "load_any",
    "load_classifier",
    "make_ensemble",
    "push_to_hub",
    "sample_cached",
    "sample_class",
    "sample_classes",
    "sample_images",
    "sample_reference",
    "sampling_noise",
    "save",
    "save_pretrained",
]


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'pixelbayes' has no attribute {name!r}")
    return getattr(import_module(f"pixelbayes.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """All public names, for completion in interactive sessions."""
    return sorted({*globals(), *__all__})
