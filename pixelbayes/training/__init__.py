"""Training: the only room that knows Lightning, which takes seconds to import; the configs do without."""

from pixelbayes.training.config import TrainingConfig
from pixelbayes.training.optimization import ClassifierTrainingConfig, OptimizationConfig

__all__ = ["ClassifierTrainingConfig", "OptimizationConfig", "TrainingConfig"]
