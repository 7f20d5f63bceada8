"""Using a network: sampling and classification; no trainer needed."""

from pixelbayes.inference.classifier import BayesClassifier, Density, score
from pixelbayes.inference.sampler import sample, sample_class, sample_classes, sampling_noise

__all__ = ["BayesClassifier", "Density", "sample", "sample_class", "sample_classes", "sampling_noise", "score"]
