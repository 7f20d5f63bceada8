"""Training. Importing the configs does not import Lightning, which takes seconds."""

from pixelbayes.training.config import ClassifierTrainingConfig, TrainingConfig
from pixelbayes.training.optimization import OptimizationConfig

__all__ = ["ClassifierTrainingConfig", "OptimizationConfig", "TrainingConfig"]
