"""Images as uint8 tensors, whatever source they come from."""

from pixelbayes.data.augmentation import AugmentationConfig, augment, changes
from pixelbayes.data.dataset import ImageData, Split
from pixelbayes.data.loading import DataConfig, load_data

__all__ = ["AugmentationConfig", "DataConfig", "ImageData", "Split", "augment", "changes", "load_data"]
