"""The one path from a config to results: all that the command line, a sweep or a test does goes through here."""

from pixelbayes.experiments.classify import classify, explain, unlike_training
from pixelbayes.experiments.config import ExperimentConfig, build_network
from pixelbayes.experiments.evaluate import EvaluationConfig, evaluation_folder, examine
from pixelbayes.experiments.measure import calibrate, evaluate
from pixelbayes.experiments.sample import sample
from pixelbayes.experiments.sample_quality import FeatureConfig, Judge, SamplingConfig, draw, prepare_features
from pixelbayes.experiments.train import dry_run, train

__all__ = [
    "EvaluationConfig",
    "ExperimentConfig",
    "FeatureConfig",
    "Judge",
    "SamplingConfig",
    "build_network",
    "calibrate",
    "classify",
    "draw",
    "dry_run",
    "evaluate",
    "evaluation_folder",
    "examine",
    "explain",
    "prepare_features",
    "sample",
    "train",
    "unlike_training",
]
