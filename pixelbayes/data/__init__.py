"""Images as uint8 tensors, whatever source they come from."""

from pixelbayes.data.dataset import ImageData, Split
from pixelbayes.data.loading import DataConfig, load_data

__all__ = ["DataConfig", "ImageData", "Split", "load_data"]
