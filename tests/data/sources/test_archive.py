import gzip
import shutil
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from pixelbayes.data import DataConfig, load_data
from pixelbayes.utils.errors import InputError

FORMATS = {"zip": ".zip", "tar": ".tar", "gztar": ".tar.gz", "xztar": ".tar.xz"}


def pack(folder, form, inside="."):
    """Archives `inside` of a folder as people do, with shutil."""
    return shutil.make_archive(str(folder.parent / "packed"), form, folder, inside)


def assert_equal(data, expected):
    assert (data.class_names, data.cut_from_train) == (expected.class_names, expected.cut_from_train)
    assert {name: split.names for name, split in data.splits.items()} == {
        name: split.names for name, split in expected.splits.items()
    }
    for name, split in data.splits.items():
        assert torch.equal(split.pixels, expected.split(name).pixels)
        assert torch.equal(split.labels, expected.split(name).labels)


@pytest.mark.parametrize("form", FORMATS)
def test_an_archive_of_class_folders_is_read_as_the_folders_are(tmp_path, class_folders, form):
    class_folders("pets", 10)
    expected = load_data(DataConfig(source=f"folder:{tmp_path}/pets"))
    assert_equal(load_data(DataConfig(source=f"archive:{pack(tmp_path / 'pets', form)}")), expected)


def test_an_archive_of_a_folder_of_splits_is_found_whatever_its_name_and_nothing_is_written(tmp_path, class_folders):
    for split in ("train", "val", "test"):
        class_folders(f"pets/data/{split}", 2)
    expected = load_data(DataConfig(source=f"folder:{tmp_path}/pets/data"))
    archive = tmp_path / "download"
    shutil.move(pack(tmp_path / "pets", "zip", "data"), archive)
    shutil.rmtree(tmp_path / "pets")
    assert_equal(load_data(DataConfig(source=str(archive))), expected)
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("form", ["zip", "gztar"])
def test_a_table_in_an_archive_names_its_images(tmp_path, class_folders, form):
    class_folders("pets/images", 2)
    rows = [f"images/{name}/{index:02}.png,{name}\n" for name in ("cat", "dog") for index in range(2)]
    (tmp_path / "pets/train.csv").write_text("path,label\n" + "".join(rows))
    expected = load_data(DataConfig(source=f"csv:{tmp_path}/pets"))
    assert_equal(load_data(DataConfig(source=pack(tmp_path / "pets", form))), expected)
    outside = [f"{tmp_path}/pets/{rows[0]}", "../pets/images/cat/00.png,cat\n"]
    (tmp_path / "pets/train.csv").write_text("path,label\n" + "".join(rows[1:] + outside))
    with pytest.raises(InputError) as caught:
        load_data(DataConfig(source=pack(tmp_path / "pets", form)))
    rows = sorted(fault.partition(":")[0] for fault in str(caught.value).splitlines())
    assert rows == ["train.csv row 5", "train.csv row 6"]


def images(count):
    return np.random.default_rng(count).integers(0, 256, (count, 6, 8), dtype=np.uint8)


def write_idx(folder):
    labels = np.arange(20, dtype=np.uint8) % 2
    header = struct.pack(">HBB3I", 0, 8, 3, 20, 6, 8)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images(20).tobytes()))
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 20) + labels.tobytes())


def write_cifar(folder):
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        (folder / name).write_bytes(bytes([0]) + bytes(3072) + bytes([1]) + bytes(3072))
    (folder / "batches.meta.txt").write_text("airplane\nautomobile\n")


def write_npz(folder):
    np.savez(folder / "set.npz", x=images(20), y=np.arange(20) % 2)


@pytest.mark.parametrize("write", [write_idx, write_cifar, write_npz])
@pytest.mark.parametrize("form", FORMATS)
def test_the_other_sources_are_read_from_an_archive(tmp_path, write, form):
    folder = tmp_path / "all/of/it"
    folder.mkdir(parents=True)
    write(folder)
    expected = load_data(DataConfig(source=str(tmp_path / "all")))
    assert_equal(load_data(DataConfig(source=pack(tmp_path / "all", form))), expected)


def test_the_metadata_of_macos_are_counted_and_not_taken_for_images(tmp_path, picture):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for name in ("cat", "dog"):
            archive.write(picture(f"{name}.png"), f"pets/{name}/0.png")
            archive.writestr(f"__MACOSX/pets/{name}/._0.png", b"\0\5\x16\7")
        archive.writestr("pets/.DS_Store", b"\0")
    data = load_data(DataConfig(source=f"archive:{tmp_path}/pets.zip"))
    assert data.split("train").names == ("cat/0.png", "dog/0.png")
    assert sum(data.left_out.values()) >= 1


def test_faults_of_the_contents_name_the_archive_and_the_member(tmp_path, class_folders):
    class_folders("pets", 2)
    (tmp_path / "pets/cat/bad.png").write_bytes(b"no image")
    (tmp_path / "pets/stray.png").write_bytes(b"")
    path = pack(tmp_path / "pets", "zip")
    with pytest.raises(InputError) as caught:
        load_data(DataConfig(source=path))
    assert [fault.partition(": ")[0] for fault in str(caught.value).splitlines()] == [
        f"{path}/stray.png",
        f"{path}/cat/bad.png",
    ]


def test_a_damaged_member_is_a_fault_like_a_damaged_file(tmp_path, class_folders):
    class_folders("pets", 2)
    path = tmp_path / "pets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for image in sorted((tmp_path / "pets").glob("*/*.png")):
            archive.write(image, image.relative_to(tmp_path / "pets"))
    content = bytearray(path.read_bytes())
    content[60] ^= 255  # in the first image
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"pets\.zip/cat/00\.png: cannot be read \(Bad CRC-32"):
        load_data(DataConfig(source=str(path)))


def test_an_archive_in_an_archive_is_not_opened(tmp_path, class_folders):
    class_folders("pets", 2)
    with tarfile.open(tmp_path / "outer.tar", "w") as archive:
        archive.add(pack(tmp_path / "pets", "zip"), "inner.zip")
    with pytest.raises(InputError, match="no images found"):
        load_data(DataConfig(source=f"{tmp_path}/outer.tar"))


@pytest.mark.parametrize("content", [b"", b"7z\xbc\xaf'\x1c", b"\x1f\x8b", b"PK\3\4"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "pets.zip"
    path.write_bytes(content)
    damaged = r"pets\.zip: cannot be read \(.+\); download it or make the archive again"
    with pytest.raises(InputError, match=damaged):
        load_data(DataConfig(source=f"archive:{path}"))
    unknown = "neither a folder, an npz file, a zip or tar archive nor one of digits, folder:..., csv:..., npz:..., "
    with pytest.raises(InputError, match=damaged if content.startswith(b"PK") else unknown):
        load_data(DataConfig(source=str(path)))


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(InputError, match="none: no such file; correct --data"):
        load_data(DataConfig(source=f"archive:{tmp_path}/none"))
