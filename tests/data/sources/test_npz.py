import re

import numpy as np
import pytest
import torch

from pixelbayes.data import DataConfig, load_data
from pixelbayes.utils.errors import InputError

MEDMNIST = ("train_images", "val_images", "test_images")


def noise(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def medmnist(channels=()):
    """The arrays of a set of MedMNIST with labels of 0, 2 and 10 and 6, 3 and 3 images."""
    arrays = {}
    for name, count in {"train": 6, "val": 3, "test": 3}.items():
        arrays[f"{name}_images"] = noise(count, 6, 8, *channels)
        arrays[f"{name}_labels"] = np.resize(np.array([10, 2, 0], dtype=np.uint8), (count, 1))
    return arrays


def load(path, arrays, **fields):
    np.savez_compressed(path, **arrays)
    return load_data(DataConfig(source=f"npz:{path}", **fields))


def faults(path, arrays, **fields):
    with pytest.raises(InputError) as caught:
        load(path, arrays, **fields)
    return [re.sub(rf"^{re.escape(str(path))}: ", "", fault) for fault in str(caught.value).splitlines()]


@pytest.mark.parametrize("channels", [(), (3,)])
def test_the_arrays_of_medmnist_are_its_three_splits_and_its_numbers_are_the_classes_in_their_order(tmp_path, channels):
    arrays = medmnist(channels)
    data = load(tmp_path / "dermamnist.npz", arrays)
    assert (data.class_names, data.cut_from_train) == (("0", "2", "10"), ())
    for split, name in zip(("train", "validation", "test"), MEDMNIST, strict=True):
        pixels = torch.from_numpy(arrays[name]).reshape(-1, 6, 8, *(channels or (1,))).movedim(-1, 1)
        assert torch.equal(data.split(split).pixels, pixels)
        assert data.split(split).labels.tolist() == [2, 1, 0] * (len(pixels) // 3)
        assert data.split(split).names[1] == f"{name}/1"


def test_keras_arrays_lack_a_validation_split_which_is_cut_from_train(tmp_path):
    labels = np.arange(20) % 2
    arrays = {"x_train": noise(20, 6, 8), "y_train": labels, "x_test": noise(4, 6, 8), "y_test": labels[:4]}
    data = load(tmp_path / "mnist.npz", arrays)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 16, "validation": 4, "test": 4}
    assert data.cut_from_train == ("validation",)


def test_x_and_y_are_divided_into_three_splits_and_text_labels_are_class_names(tmp_path):
    data = load(tmp_path / "pets.npz", {"X": noise(20, 6, 8, 1), "y": np.array(["dog", "cat"] * 10)})
    assert data.class_names == ("cat", "dog")
    assert data.cut_from_train == ("validation", "test")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 12, "validation": 4, "test": 4}


def test_labels_of_minus_one_and_those_that_test_lacks_are_unknown(tmp_path):
    arrays = {"train_images": noise(4, 6, 8), "train_labels": np.array([0, 1, -1, 1]), "test_images": noise(2, 6, 8)}
    data = load(tmp_path / "some.npz", arrays, validation_fraction=0)
    assert data.split("train").labels.tolist() == [0, 1, -1, 1]
    assert data.split("test").labels.tolist() == [-1, -1]


def test_other_arrays_are_counted(tmp_path):
    data = load(tmp_path / "more.npz", {"x": noise(4, 6, 8), "y": np.array([0, 1, 0, 1]), "mask": noise(4, 6, 8)})
    assert data.left_out == {"array whose name is that of neither images nor labels": 1}


def test_all_faults_of_the_arrays_are_listed_together(tmp_path):
    found = faults(
        tmp_path / "bad.npz",
        {
            "train_images": np.zeros((4, 3, 6, 8), dtype=np.float32),
            "train_labels": np.zeros((4, 14), dtype=np.int64),
            "val_images": noise(4, 6, 8),
            "val_labels": np.array([0.5, 1.0, 2.0]),
            "test_images": np.array([[1, 2], [3]], dtype=object),
            "test_labels": np.array([[0], [0, 1]], dtype=object),
        },
    )
    assert [fault.partition(";")[0] for fault in found] == [
        "test_images cannot be read (Object arrays cannot be loaded when allow_pickle=False)",
        "test_labels cannot be read (Object arrays cannot be loaded when allow_pickle=False)",
        "train_images has type float32, expected uint8 with values 0 .. 255",
        "train_images has shape (4, 3, 6, 8), expected (N, H, W) or (N, H, W, 3)",
        "train_labels has shape (4, 14), expected one label per image, (N,)",
        "val_labels has type float64, expected whole numbers or class names",
        "val_images has 4 images, but val_labels has 3 labels",
    ]
    assert "images.transpose(0, 2, 3, 1)" in found[3]
    assert "several labels per image cannot be used" in found[4]


def test_a_class_of_the_data_that_the_network_does_not_know_is_named(tmp_path):
    found = faults(tmp_path / "set.npz", medmnist(), class_names=("0", "2"))
    assert found == [
        "class '10' is not among 0, 2 (from --class-names or the network); correct either",
    ]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no images; expected x and y, or train_images"),
        ({"x": noise(2, 6, 8), "y": np.arange(2), "test_x": noise(2, 6, 8)}, "some arrays belong to a split"),
        (
            {"x": noise(2, 6, 8), "images": noise(2, 6, 8), "y": np.arange(2)},
            "x is a second array of images for one split",
        ),
        ({"x_train": noise(2, 6, 8), "y_train": np.arange(2), "y_val": np.arange(2)}, "y_val is there, but not its"),
        ({"train_images": noise(2, 6, 8)}, "train_images is there, but not its images or labels"),
    ],
)
def test_arrays_that_leave_a_doubt_are_refused(tmp_path, arrays, message):
    (found,) = faults(tmp_path / "doubtful.npz", arrays)
    assert found.startswith(message)


def test_a_missing_and_a_damaged_file_are_named(tmp_path):
    path = tmp_path / "set.npz"
    with pytest.raises(InputError, match="no such file; correct --data"):
        load_data(DataConfig(source=f"npz:{path}"))
    np.savez(path, **medmnist())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"set\.npz: cannot be read"):
        load_data(DataConfig(source=str(path)))
