"""Using a network: sampling and classification; no trainer needed."""

from pixelbayes.inference.cached import CachedSampler, sample_cached
from pixelbayes.inference.classifier import BayesClassifier, ClassDensity, Density, score
from pixelbayes.inference.multi_view import Combine, Ensemble, OneByOne, Viewed, combined, deciding
from pixelbayes.inference.prefix import Given
from pixelbayes.inference.sample import sample_class, sample_classes, sample_images
from pixelbayes.inference.sampler import sample, sampling_noise
from pixelbayes.inference.scoring import Scorer

__all__ = [
    "BayesClassifier",
    "CachedSampler",
    "ClassDensity",
    "Combine",
    "Density",
    "Ensemble",
    "Given",
    "OneByOne",
    "Scorer",
    "Viewed",
    "combined",
    "deciding",
    "sample",
    "sample_cached",
    "sample_class",
    "sample_classes",
    "sample_images",
    "sampling_noise",
    "score",
]
