import torch
from sklearn.datasets import load_digits

from pixelbayes.data import DataConfig, load_data
from pixelbayes.data.sources.digits import list_digits


def test_the_digits_keep_their_own_17_levels_exactly():
    original = torch.from_numpy(load_digits().images).to(torch.uint8)
    for split in load_data(DataConfig()).splits.values():
        index = [int(name.removeprefix("digits/")) for name in split.names]
        assert torch.equal(split.pixels[:, 0], original[index])


def test_the_digits_are_1797_grey_images_of_ten_classes_in_three_splits():
    data = load_data(DataConfig())
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 1259, "validation": 269, "test": 269}
    assert data.class_names == tuple("0123456789")
    assert (data.preprocessing.image_size, data.preprocessing.channels, data.preprocessing.levels) == ((8, 8), 1, 17)
    assert data.split("test").labels.bincount(minlength=10).tolist() == [27] * 8 + [26, 27]


def test_class_names_reorder_the_labels():
    usual = list_digits("", ()).splits["train"]
    reverse = list_digits("", tuple("9876543210")).splits["train"]
    assert [record.label for record in reverse] == [9 - record.label for record in usual]


def test_the_digits_take_another_size_and_other_levels():
    data = load_data(DataConfig(image_size=(4, 6), channels=3, levels=256, resize="squash"))
    assert data.split("train").pixels.shape == (1259, 3, 4, 6)
    assert data.split("train").pixels.max() > 16
