"""Labelled images of any source as uint8 tensors, and their augmentation."""

from pixelbayes.data.augmentation import AugmentationConfig, augment, is_augmented
from pixelbayes.data.dataset import UNKNOWN_LABEL, ImageData, Split
from pixelbayes.data.loading import DataConfig, load_data

__all__ = [
    "UNKNOWN_LABEL",
    "AugmentationConfig",
    "DataConfig",
    "ImageData",
    "Split",
    "augment",
    "is_augmented",
    "load_data",
]
