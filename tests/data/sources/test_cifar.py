import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelbayes.data import DataConfig, load_data
from pixelbayes.data.sources.cifar import read_pickle
from pixelbayes.utils.errors import InputError

TRAIN = [f"data_batch_{number}" for number in range(1, 6)]


def noise(name):
    """Pixels of the three images of a file, (3, 3072)."""
    return np.random.default_rng(len(name) + ord(name[-1])).integers(0, 256, (3, 3072), dtype=np.uint8)


def binary(name, *labels):
    return np.column_stack([*labels, noise(name)]).astype(np.uint8).tobytes()


def write_binary_10(folder):
    for name in (*TRAIN, "test_batch"):
        (folder / f"{name}.bin").write_bytes(binary(name, [2, 1, 0]))
    (folder / "batches.meta.txt").write_text("zebra\nairplane\nbird\n\n")


def write_binary_100(folder):
    for name in ("train", "test"):
        (folder / f"{name}.bin").write_bytes(binary(name, [0, 0, 0], [2, 1, 0]))
    (folder / "fine_label_names.txt").write_text("zebra\nairplane\nbird\n")
    (folder / "coarse_label_names.txt").write_text("thing\n")


def write_python_10(folder, protocol=2, key=str):
    for name in (*TRAIN, "test_batch"):
        batch = {key("data"): noise(name), key("labels"): [2, 1, 0], key("filenames"): ["a.png"] * 3}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))
    meta = {key("label_names"): [key(name) for name in ("zebra", "airplane", "bird")], key("num_vis"): 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol))


def write_python_100(folder):
    for name in ("train", "test"):
        batch = {"data": noise(name), "fine_labels": [2, 1, 0], "coarse_labels": [0, 0, 0]}
        (folder / name).write_bytes(pickle.dumps(batch))
    meta = {"fine_label_names": ["zebra", "airplane", "bird"], "coarse_label_names": ["thing"]}
    (folder / "meta").write_bytes(pickle.dumps(meta))


def load(folder):
    return load_data(DataConfig(source=str(folder), validation_fraction=0))


def faults(folder):
    with pytest.raises(InputError) as caught:
        load_data(DataConfig(source=f"cifar:{folder}"))
    return str(caught.value).splitlines()


@pytest.mark.parametrize("write", [write_binary_10, write_binary_100, write_python_10, write_python_100])
def test_each_version_is_found_and_read_with_its_names_in_their_order(tmp_path, write):
    write(tmp_path)
    data = load(tmp_path)
    assert data.class_names == ("zebra", "airplane", "bird")
    train = ["train"] if "100" in write.__name__ else TRAIN
    test = "test" if "100" in write.__name__ else "test_batch"
    for split, names in {"train": train, "test": [test]}.items():
        pixels = torch.from_numpy(np.concatenate([noise(name) for name in names])).view(-1, 3, 32, 32)
        assert torch.equal(data.split(split).pixels, pixels)
        assert data.split(split).labels.tolist() == [2, 1, 0] * len(names)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("key", [str, str.encode])
def test_a_pickle_of_every_protocol_is_read_with_text_and_bytes_as_keys(tmp_path, protocol, key):
    write_python_10(tmp_path, protocol, key)
    data = load(tmp_path)
    assert data.class_names == ("zebra", "airplane", "bird")
    assert np.array_equal(data.split("test").pixels.flatten(1), noise("test_batch"))


def test_a_pickle_of_python_2_is_read_as_those_of_the_authors_are(tmp_path):
    write_python_10(tmp_path)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x03M\x00\x0c\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + struct.pack("<I", 3 * 3072) + noise("test_batch").tobytes() + b"tb"
    )
    (tmp_path / "test_batch").write_bytes(b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x02K\x01K\x00eu.")
    assert np.array_equal(load(tmp_path).split("test").pixels.flatten(1), noise("test_batch"))


def test_arrays_have_the_values_that_pickle_reads(tmp_path):
    arrays = {
        "C": np.arange(6, dtype=np.int64).reshape(2, 3),
        "F": np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3)),
        "big-endian": np.arange(3, dtype=">i4"),
        "view": np.arange(10, dtype=np.int16)[::3],
        "empty": np.zeros((0, 3), dtype=np.uint8),
    }
    for protocol in range(6):
        (tmp_path / "batch").write_bytes(pickle.dumps(arrays, protocol))
        for name, values in read_pickle(tmp_path / "batch").items():
            np.testing.assert_array_equal(values, arrays[name], strict=True)


class Malicious:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.mkdir, os.system, eval])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_executes_nothing(tmp_path, monkeypatch, function, protocol):
    monkeypatch.chdir(tmp_path)
    argument = {os.mkdir: "made", os.system: "mkdir made", eval: "__import__('os').mkdir('made')"}[function]
    content = pickle.dumps({"data": Malicious(function, argument)}, protocol)
    pickle.loads(content)
    assert Path("made").is_dir()  # it would do harm
    Path("made").rmdir()
    Path("batch").write_bytes(content)
    with pytest.raises(InputError, match=rf"it names \w+\.{function.__name__}, which may execute code"):
        read_pickle(Path("batch"))
    assert not Path("made").exists()


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"data": np.array([print], dtype=object)}),
        pickle.dumps({"data": np.zeros(2, dtype=[("a", "u1")])}),
        pickle.dumps([1, 2]),
        pickle.dumps({"data": noise("a")})[:-9],
        b"",
        b"<html>not found</html>",
    ],
)
def test_a_pickle_of_other_things_is_refused(tmp_path, content):
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(InputError, match=r"batch: .*; download it again from https://www.cs.toronto.edu"):
        read_pickle(tmp_path / "batch")


def test_all_faults_of_the_files_are_listed_together(tmp_path):
    write_binary_10(tmp_path)
    (tmp_path / "data_batch_2.bin").unlink()
    (tmp_path / "data_batch_3.bin").write_bytes(bytes(3073 + 1))
    (tmp_path / "test_batch.bin").write_bytes(binary("test_batch", [0, 1, 3]))
    assert [fault.removeprefix(f"{tmp_path}/").partition(";")[0] for fault in faults(tmp_path)] == [
        "data_batch_2.bin: no such file",
        "data_batch_3.bin: 3074 bytes, expected a multiple of 3073",
        "test_batch.bin: labels beyond the 3 names in batches.meta.txt",
    ]


@pytest.mark.parametrize(
    "batch",
    [
        {"data": noise("train")[:, :9], "fine_labels": [0, 1, 2]},
        {"data": noise("train"), "fine_labels": [0, 1]},
        {"data": noise("train"), "fine_labels": ["a", "b", "c"]},
        {"data": noise("train"), "fine_labels": [[0], [1, 2], []]},
        {"data": noise("train")[0], "fine_labels": 0},
        {"fine_labels": [0, 1, 2]},
        {"data": noise("train")},
    ],
)
def test_a_python_batch_without_its_arrays_is_refused(tmp_path, batch):
    write_python_100(tmp_path)
    (tmp_path / "train").write_bytes(pickle.dumps(batch))
    (fault,) = faults(tmp_path)
    assert fault.startswith(f"{tmp_path}/train: not 3072 bytes of pixels and a label for each image; download it again")


def test_a_folder_without_class_names_is_refused(tmp_path):
    write_binary_10(tmp_path)
    (tmp_path / "batches.meta.txt").unlink()
    (fault,) = faults(tmp_path)
    assert fault.startswith(f"{tmp_path}: none of batches.meta.txt, batches.meta, fine_label_names.txt, meta with")
