"""Inference: sampling, scoring and classification. None of it needs a trainer."""

from pixelbayes.inference.cached import CachedSampler, sample_cached
from pixelbayes.inference.classifier import BayesClassifier, ClassDensity, Density, score
from pixelbayes.inference.multi_view import (
    Combine,
    EnsembleDensity,
    MultiView,
    ReferenceScorer,
    classifying_passes,
    combine_log_probs,
)
from pixelbayes.inference.prefix import Prefix
from pixelbayes.inference.sample import sample_class, sample_classes, sample_images
from pixelbayes.inference.sampler import SamplingConfig, sample_reference, sampling_noise
from pixelbayes.inference.scoring import Scorer, ScoringConfig

__all__ = [
    "BayesClassifier",
    "CachedSampler",
    "ClassDensity",
    "Combine",
    "Density",
    "EnsembleDensity",
    "MultiView",
    "Prefix",
    "ReferenceScorer",
    "SamplingConfig",
    "Scorer",
    "ScoringConfig",
    "classifying_passes",
    "combine_log_probs",
    "sample_cached",
    "sample_class",
    "sample_classes",
    "sample_images",
    "sample_reference",
    "sampling_noise",
    "score",
]
