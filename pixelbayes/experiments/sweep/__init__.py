"""Searches the fields of a config, on one machine or on several, with Optuna."""

from pixelbayes.experiments.sweep.config import SweepConfig, SweepRunConfig
from pixelbayes.experiments.sweep.space import parse_param
from pixelbayes.experiments.sweep.sweep import sweep
from pixelbayes.experiments.sweep.trials_table import read_trials
from pixelbayes.experiments.sweep.wandb_format import with_wandb_sweep

__all__ = ["SweepConfig", "SweepRunConfig", "parse_param", "read_trials", "sweep", "with_wandb_sweep"]
