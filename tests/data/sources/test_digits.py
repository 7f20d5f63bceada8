import pytest
import torch
from sklearn.datasets import load_digits

from pixelbayes.data import DataConfig, load_data
from pixelbayes.data.sources.digits import list_digits


@pytest.fixture(scope="module")
def digits():
    return load_data(DataConfig())


def test_the_digits_keep_their_17_levels_exactly(digits):
    original = torch.from_numpy(load_digits().images).to(torch.uint8)
    for split in digits.splits.values():
        index = [int(name.removeprefix("digits/")) for name in split.names]
        assert torch.equal(split.pixels[:, 0], original[index])


def test_the_digits_are_1797_grey_images_of_ten_classes_in_three_splits(digits):
    sizes = {name: len(split) for name, split in digits.splits.items()}
    assert sizes == {"train": 1259, "validation": 269, "test": 269}
    assert digits.class_names == tuple("0123456789")
    assert str(digits.preprocessing.image_shape) == "8 x 8 pixels, 1 channel, 17 levels"
    assert digits.split("test").labels.bincount(minlength=10).tolist() == [27] * 8 + [26, 27]


def test_class_names_reorder_the_labels():
    usual = list_digits("", ()).splits["train"]
    reverse = list_digits("", tuple("9876543210")).splits["train"]
    assert [record.label for record in reverse] == [9 - record.label for record in usual]


def test_the_digits_can_have_another_size_and_other_levels():
    data = load_data(DataConfig(image_size=(4, 6), levels=256, resize="squash"))
    assert data.split("train").pixels.shape == (1259, 1, 4, 6)
    assert data.split("train").pixels.max() > 16
