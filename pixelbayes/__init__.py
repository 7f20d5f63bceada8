"""Class-conditional PixelCNN++: generates images, classifies them by Bayes' rule, and measures its confidence.

>>> import pixelbayes
>>> trained = pixelbayes.load("digits")
>>> samples = trained.sample("7", count=2)  # uint8 levels, (2, 1, 8, 8)
>>> trained.predict(samples)  # or image files, PIL images, uint8 arrays
['7', '7']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pixelbayes.version import __version__

if TYPE_CHECKING:
    from pixelbayes.checkpoints.checkpoint import save
    from pixelbayes.checkpoints.hub import push_to_hub, save_pretrained
    from pixelbayes.checkpoints.merging import average_weights
    from pixelbayes.checkpoints.provenance import Provenance
    from pixelbayes.checkpoints.trained import Ensemble, Trained, TrainedClassifier, TrainedPixelCNN
    from pixelbayes.experiments.estimator import PixelBayesClassifier
    from pixelbayes.experiments.predict import (
        ClassifierPredictor,
        EnsemblePredictor,
        PixelCNNPredictor,
        from_pretrained,
        load,
        load_any,
        load_classifier,
        make_ensemble,
        predictor,
    )
    from pixelbayes.images.pixels import requantise, to_pixels, to_x
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
    "checkpoints.checkpoint": ("save",),
    "checkpoints.hub": ("push_to_hub", "save_pretrained"),
    "checkpoints.merging": ("average_weights",),
    "checkpoints.provenance": ("Provenance",),
    "checkpoints.trained": ("Ensemble", "Trained", "TrainedPixelCNN", "TrainedClassifier"),
    "experiments.estimator": ("PixelBayesClassifier",),
    "experiments.predict": (
        "EnsemblePredictor",
        "PixelCNNPredictor",
        "ClassifierPredictor",
        "from_pretrained",
        "load",
        "load_any",
        "load_classifier",
        "make_ensemble",
        "predictor",
    ),
    "images.pixels": ("requantise", "to_pixels", "to_x"),
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
    "ClassifierPredictor",
    "Condition",
    "Ensemble",
    "EnsembleDensity",
    "EnsemblePredictor",
    "ImageShape",
    "MixtureOfLogistics",
    "MultiView",
    "PixelBayesClassifier",
    "PixelCNN",
    "PixelCNNConfig",
    "PixelCNNPredictor",
    "Prefix",
    "Preprocessing",
    "Provenance",
    "SamplingConfig",
    "Scorer",
    "ScoringConfig",
    "Trained",
    "TrainedClassifier",
    "TrainedPixelCNN",
    "__version__",
    "average_weights",
    "bits_per_dim",
    "from_pretrained",
    "load",
    "load_any",
    "load_classifier",
    "make_ensemble",
    "predictor",
    "push_to_hub",
    "requantise",
    "sample_cached",
    "sample_class",
    "sample_classes",
    "sample_images",
    "sample_reference",
    "sampling_noise",
    "save",
    "save_pretrained",
    "to_pixels",
    "to_x",
]


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'pixelbayes' has no attribute {name!r}")
    return getattr(import_module(f"pixelbayes.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """All public names, for completion in interactive sessions."""
    return sorted({*globals(), *__all__})
