"""Using a network: sampling and classification; no trainer needed."""

from pixelbayes.inference.cached import CachedSampler, sample_cached
from pixelbayes.inference.classifier import BayesClassifier, Density, score
from pixelbayes.inference.completion import Given
from pixelbayes.inference.sampler import sample, sampling_noise
from pixelbayes.inference.series import sample_class, sample_classes

__all__ = [
    "BayesClassifier",
    "CachedSampler",
    "Density",
    "Given",
    "sample",
    "sample_cached",
    "sample_class",
    "sample_classes",
    "sampling_noise",
    "score",
]
