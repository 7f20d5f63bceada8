"""PyTorch data sets of pairs, in the forms that torchvision's have."""

import numpy as np
import pytest
import torch
from PIL import Image, UnidentifiedImageError
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from pixelbayes.images.datasets import labels
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.reading import read_images
from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.errors import InputError

RGB = Preprocessing(image_shape=ImageShape(height=4, width=6))
HWC = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
PIXELS = torch.from_numpy(HWC).movedim(3, 1)  # (3, 3, 4, 6)


class Items(Dataset):
    def __init__(self, items, **attributes):
        self.items = items
        vars(self).update(attributes)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        item = self.items[index]
        if isinstance(item, Exception):
            raise item
        return item


@pytest.mark.parametrize("form", [Image.fromarray, np.asarray, lambda array: torch.from_numpy(array).movedim(2, 0)])
def test_every_form_of_the_images_of_a_data_set_has_the_same_pixels(form):
    pairs = Items([(form(array), label) for label, array in enumerate(HWC)])
    pixels, names = read_images(pairs, RGB)
    assert torch.equal(pixels, PIXELS)
    assert names == ("item 0", "item 1", "item 2")
    assert torch.equal(read_images(Items([image for image, _ in pairs.items]), RGB)[0], PIXELS)  # without labels


def test_labels_are_numbers_or_the_names_of_the_data_set():
    numbers = TensorDataset(PIXELS, torch.tensor([2, 0, 1]))
    assert labels(numbers) == [2, 0, 1]
    named = Items([(None, 1), (None, np.int64(0)), (None, torch.tensor(1))], classes=["cat", "dog"])
    assert labels(named) == ["dog", "cat", "dog"]
    assert labels(Subset(Subset(named, [1, 2]), [0])) == ["cat"]
    assert labels(Items([(None, "cat")])) == ["cat"]


class Endless(IterableDataset):
    def __iter__(self):
        return iter([(HWC[0], 0)])


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            Items([(PIXELS[0] / 255, 0)]),
            r"^item 0 is a float32 tensor; leave out transforms to floats such as ToTensor",
        ),
        (Items([(HWC[0], 0), HWC[1]]), "^item 1 of the data set is a ndarray, expected a pair of an image and a label"),
        (Items([(HWC[0], 0, 1)]), "^item 0 of the data set has 3 parts, expected a pair"),
        (Items([(HWC[0], 0.5)]), "^item 0 of the data set has the label 0.5, expected a whole number or a name"),
        (
            Items([(HWC[0], np.array([0, 1]))]),
            r"^item 0 of the data set has the label array\(\[0, 1\]\), expected a whole",
        ),
        (
            Items([(HWC[0], 2)], classes=["cat", "dog"]),
            "^the data set has the label 2, but its classes are 2: cat, dog",
        ),
        (Items([(HWC[0], 0), UnidentifiedImageError("x.jpg")]), r"^item 1 of the data set cannot be read \(x.jpg\)"),
        (Endless(), "^the data set has no length; make a list of its items"),
    ],
)
def test_what_is_no_data_set_of_pairs_is_refused_with_the_item(dataset, message):
    with pytest.raises(InputError, match=message):
        labels(dataset)


def test_floats_are_refused_once_and_not_for_each_item():
    with pytest.raises(InputError, match=r"\Aitem 0 is .* PILToTensor\Z"):
        read_images(TensorDataset(PIXELS / 255), RGB)
