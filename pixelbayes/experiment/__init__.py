"""The one path from a config to results: all that the command line, a sweep or a test does goes through here."""

from pixelbayes.experiment.classifying import classify, explain, unlike_training
from pixelbayes.experiment.config import ExperimentConfig, build_network
from pixelbayes.experiment.drawing import sample
from pixelbayes.experiment.evaluation import EvaluationConfig, evaluation_folder, examine
from pixelbayes.experiment.measuring import calibrate, evaluate
from pixelbayes.experiment.quality import FeatureConfig, Judge, SamplingConfig, draw, prepare_features
from pixelbayes.experiment.training import dry_run, train

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
