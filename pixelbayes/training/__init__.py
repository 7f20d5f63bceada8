"""Training: the only room that knows Lightning, which takes seconds to import; `TrainingConfig` does without."""

from pixelbayes.training.config import TrainingConfig

__all__ = ["TrainingConfig"]
