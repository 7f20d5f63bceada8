import gzip
import struct

import numpy as np
import pytest
import torch

from pixelbayes.data import DataConfig, load_data
from pixelbayes.utils.errors import InputError


def idx(values, kind=8):
    """The bytes of an idx file: as LeCun describes it, the lengths are big-endian."""
    return struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape) + values.tobytes()


def noise(count):
    return np.random.default_rng(count).integers(0, 256, (count, 6, 8), dtype=np.uint8)


def labels(count):
    return np.resize(np.array([10, 9], dtype=np.uint8), count)


def write(folder, name, count, hyphen="-", suffix=""):
    pack = gzip.compress if suffix else bytes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}-images{hyphen}idx3-ubyte{suffix}").write_bytes(pack(idx(noise(count))))
    (folder / f"{name}-labels{hyphen}idx1-ubyte{suffix}").write_bytes(pack(idx(labels(count))))


def faults(source):
    with pytest.raises(InputError) as caught:
        load_data(DataConfig(source=source))
    return str(caught.value).splitlines()


@pytest.mark.parametrize("prefix", ["", "emnist-letters-"])
@pytest.mark.parametrize("hyphen", ["-", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_files_of_mnist_are_read_under_each_of_their_names(tmp_path, prefix, hyphen, suffix):
    write(tmp_path, f"{prefix}train", 20, hyphen, suffix)
    write(tmp_path, f"{prefix}{'test' if prefix else 't10k'}", 4, hyphen, suffix)
    data = load_data(DataConfig(source=str(tmp_path), validation_fraction=0))
    assert data.class_names == ("9", "10")
    assert data.split("train").labels.tolist() == [1, 0] * 10
    assert torch.equal(data.split("train").pixels[:, 0], torch.from_numpy(noise(20)))
    assert torch.equal(data.split("test").pixels[:, 0], torch.from_numpy(noise(4)))


def test_validation_is_cut_from_train(tmp_path):
    write(tmp_path, "train", 20)
    write(tmp_path, "t10k", 4)
    data = load_data(DataConfig(source=f"idx:{tmp_path}"))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 16, "validation": 4, "test": 4}


def test_the_folder_of_torchvision_is_found_and_the_compressed_copies_in_it_are_counted(tmp_path):
    for suffix in ("", ".gz"):
        write(tmp_path / "MNIST/raw", "train", 20, suffix=suffix)
    data = load_data(DataConfig(source=str(tmp_path)))
    assert len(data.split("train")) == 16
    assert data.left_out == {"compressed copy of an idx file": 2}


def test_all_faults_of_the_files_are_listed_together(tmp_path):
    write(tmp_path, "train", 4)
    write(tmp_path, "t10k", 4)
    write(tmp_path, "valid", 3)
    write(tmp_path, "emnist-train", 4)
    write(tmp_path, "extra", 4)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(noise(4))[:-1])
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"<html>not found</html>")
    (tmp_path / "valid-labels-idx1-ubyte").write_bytes(idx(labels(2)))
    found = faults(f"idx:{tmp_path}")
    assert sorted(fault.removeprefix(f"{tmp_path}").lstrip("/: ").partition(";")[0] for fault in found) == [
        "extra-images-idx3-ubyte: names no split",
        "extra-labels-idx1-ubyte: names no split",
        "t10k-images-idx3-ubyte: its images or its labels are missing",
        "train-images-idx3-ubyte: a second train split beside emnist-train-images-idx3-ubyte",
        "train-labels-idx1-ubyte: a second train split beside emnist-train-labels-idx1-ubyte",
        "valid-images-idx3-ubyte has 3 images, but valid-labels-idx1-ubyte has 2 labels",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(noise(4))[:-1], "its header announces an array of shape (4, 6, 8), but its length differs"),
        (idx(noise(4)) + b"\0", "its header announces an array of shape (4, 6, 8), but its length differs"),
        (gzip.compress(idx(noise(4)))[:-20], "damaged or not an idx file"),
        (b"<html>not found</html>", "damaged or not an idx file"),
        (b"", "damaged or not an idx file"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**16, 2**16)), "bytes unpack to"),
    ],
    ids=["cut", "longer", "cut archive", "page", "empty", "bomb"],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    write(tmp_path, "train", 4)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    (fault,) = faults(f"idx:{tmp_path}")
    assert fault.startswith(f"{path}: ")
    assert message in fault


def test_images_of_another_type_are_refused(tmp_path):
    write(tmp_path, "train", 4)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(noise(4).astype(">f4"), kind=13))
    (fault,) = faults(f"idx:{tmp_path}")
    assert "train-images-idx3-ubyte has type >f4, expected uint8" in fault


def test_a_folder_without_such_files_is_refused(tmp_path):
    (fault,) = faults(f"idx:{tmp_path}")
    assert fault.startswith(f"{tmp_path}: no train-images-idx3-ubyte")


def test_class_names_may_be_given_for_the_numbers_from_0(tmp_path):
    for split in ("train", "t10k"):
        write(tmp_path, split, 4)
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(idx(np.array([1, 0, 1, 0], dtype=np.uint8)))
    data = load_data(DataConfig(source=f"idx:{tmp_path}", class_names=("shirt", "coat")))
    assert (data.class_names, data.written_labels) == (("shirt", "coat"), ("0", "1"))
    assert data.split("test").labels.tolist() == [1, 0, 1, 0]
