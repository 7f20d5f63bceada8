"""The 1797 handwritten digits that come with scikit-learn: 8x8, grey, 17 levels."""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from pixelbayes.data.listing import Listing, Record, relabel
from pixelbayes.images.preprocessing import to_image

LEVELS = 17  # 0 .. 16, the number of set pixels in a 4x4 block of the scan


def list_digits(location: str, class_names: tuple[str, ...]) -> Listing:
    """Lists all digits, without splits; `location` is not used."""
    bunch = load_digits()
    found = tuple(str(digit) for digit in bunch.target_names)
    class_names = class_names or found
    labels, faults = relabel(found, class_names, "digits")
    records = [
        Record(f"digits/{index}", labels[digit], partial(_read, image))
        for index, (image, digit) in enumerate(zip(bunch.images, bunch.target, strict=True))
    ]
    return Listing(splits={"train": records}, class_names=class_names, faults=faults, levels=LEVELS, undivided=True)


def _read(image: NDArray[Any]) -> Image.Image:
    return to_image(torch.from_numpy(image.astype(np.uint8))[None], LEVELS)
