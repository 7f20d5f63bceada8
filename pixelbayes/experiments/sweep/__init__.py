"""Searches the fields of a config, on one machine or on several, with Optuna."""

from pixelbayes.experiments.sweep.config import SweepConfig, SweepRunConfig
from pixelbayes.experiments.sweep.space import parse_param
from pixelbayes.experiments.sweep.sweep import sweep

__all__ = ["SweepConfig", "SweepRunConfig", "parse_param", "sweep"]
