import numpy as np
import pytest
from PIL import Image
from runs import write_pictures

from pixelbayes.data import DataConfig, load_data
from pixelbayes.data.corrected_copy import write_corrected_copy
from pixelbayes.data.loading import list_images
from pixelbayes.utils.errors import InputError


def counts(source):
    """The number of images of each class in each split."""
    data = load_data(DataConfig(source=str(source), validation_fraction=0, test_fraction=0))
    return {name: split.labels.bincount(minlength=3).tolist() for name, split in data.splits.items()}


def listed(source):
    return list_images(DataConfig(source=str(source), validation_fraction=0, test_fraction=0))


def test_in_a_copy_of_class_folders_an_image_with_a_new_label_is_in_the_folder_of_that_class(tmp_path):
    source = write_pictures(tmp_path / "source", counts={"train": 3, "test": 2})
    before = sorted(source.rglob("*"))
    write_corrected_copy(listed(source), {("train", 0): 1}, {("test", 5)}, tmp_path / "copy")
    assert counts(tmp_path / "copy") == {"train": [2, 4, 3], "test": [2, 2, 1]}
    moved = tmp_path / "copy" / "train" / "dog" / "00-2.png"  # there is another 00.png
    assert moved.read_bytes() == (source / "train" / "cat" / "00.png").read_bytes()
    assert sorted(source.rglob("*")) == before


@pytest.mark.parametrize("divided", [True, False])
def test_a_source_that_is_not_in_class_folders_becomes_files_and_a_table(tmp_path, divided):
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    parts = {"train": range(4), "test": range(4, 6)} if divided else {"": range(6)}
    arrays = {}
    for name, index in parts.items():
        prefix = f"{name}_" if name else ""
        arrays |= {
            f"{prefix}{'images' if name else 'x'}": images[index],
            f"{prefix}{'labels' if name else 'y'}": np.array(["a/b", "c", "a/b", "c", "c", "a/b"])[index],
        }
    np.savez(tmp_path / "source.npz", **arrays)
    write_corrected_copy(listed(tmp_path / "source.npz"), {("train", 1): 0}, {("train", 2)}, tmp_path / "copy")
    before, after = (
        load_data(DataConfig(source=str(tmp_path / name), validation_fraction=0, test_fraction=0))
        for name in ("source.npz", "copy")
    )
    assert list(after.splits) == list(before.splits)
    kept = [0, 1, 3, *range(4, len(before.splits["train"]))]
    assert after.splits["train"].pixels.equal(before.splits["train"].pixels[kept])
    assert [after.class_names[label] for label in after.splits["train"].labels[:3]] == ["a/b", "a/b", "c"]


def test_a_copy_that_fails_leaves_nothing_and_a_folder_with_files_is_refused(tmp_path):
    source = write_pictures(tmp_path / "source", counts={"train": 2})
    listing = listed(source)
    (source / "train" / "owl" / "01.png").unlink()
    with pytest.raises(FileNotFoundError):
        write_corrected_copy(listing, {}, set(), tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    with pytest.raises(InputError, match="not empty; name a new folder"):
        write_corrected_copy(listing, {}, set(), source)


def test_images_keep_their_format(tmp_path):
    folder = tmp_path / "source"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        Image.new("L", (4, 4)).save(folder / label / "0.tif")
    write_corrected_copy(listed(folder), {}, set(), tmp_path / "copy")
    assert (tmp_path / "copy" / "cat" / "0.tif").read_bytes() == (folder / "cat" / "0.tif").read_bytes()
