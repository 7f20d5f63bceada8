"""Using a network: sampling and classification; no trainer needed."""

from pixelbayes.inference.classifier import BayesClassifier, ClassDensity, Density, score
from pixelbayes.inference.sampler import sample, sample_class, sample_classes, sampling_noise
from pixelbayes.inference.scoring import Scorer

__all__ = [
    "BayesClassifier",
    "ClassDensity",
    "Density",
    "Scorer",
    "sample",
    "sample_class",
    "sample_classes",
    "sampling_noise",
    "score",
]
