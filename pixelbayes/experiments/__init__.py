"""Experiments: the path from a config to results, which the command line and the tests use too."""

from pixelbayes.experiments.acceptance import AcceptanceConfig, acceptance_line
from pixelbayes.experiments.audit import apply_proposals, audit, audit_is_finished
from pixelbayes.experiments.budget import Budget, parse_duration
from pixelbayes.experiments.classify import classify, explain, out_of_distribution
from pixelbayes.experiments.config import ExperimentConfig, build_network
from pixelbayes.experiments.evaluate import Evaluation, EvaluationConfig, evaluate, evaluation_folder
from pixelbayes.experiments.measure import calibrate, measure
from pixelbayes.experiments.sample import sample
from pixelbayes.experiments.sample_quality import FeatureConfig, SampleEvaluator, draw
from pixelbayes.experiments.train import dry_run, train

__all__ = [
    "AcceptanceConfig",
    "Budget",
    "Evaluation",
    "EvaluationConfig",
    "ExperimentConfig",
    "FeatureConfig",
    "SampleEvaluator",
    "acceptance_line",
    "apply_proposals",
    "audit",
    "audit_is_finished",
    "build_network",
    "calibrate",
    "classify",
    "draw",
    "dry_run",
    "evaluate",
    "evaluation_folder",
    "explain",
    "measure",
    "out_of_distribution",
    "parse_duration",
    "sample",
    "train",
]
