import pytest
import torch

from pixelbayes.evaluation.sample_folder import MANIFEST, read_samples
from pixelbayes.images.preprocessing import Preprocessing, save_image
from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import write_text

NAMES = ("cat", "sea lion")


@pytest.fixture
def write(tmp_path):
    """Saves images of a single grey, 2 x 3 pixels by default."""

    def save(greys, size=(2, 3)):
        for name, grey in greys.items():
            save_image(tmp_path / name, torch.full((3, *size), grey, dtype=torch.uint8), 256)

    return save


def read(folder, names=NAMES, **shape):
    return read_samples(folder, names, Preprocessing(image_shape=ImageShape(height=2, width=3, **shape)))


def greys(samples):
    return samples.pixels[..., 0, 0, 0].tolist()


def fault(folder):
    with pytest.raises(InputError) as caught:
        read(folder)
    return str(caught.value).removeprefix(f"{folder}: ").removeprefix(f"{folder}/")


def test_file_names_give_the_classes_in_the_order_of_the_labels(tmp_path, write):
    write({"sea_lion-0001.png": 4, "cat-0000.png": 1, "sea_lion-0000.png": 3, "cat-0007.png": 2})
    found = read(tmp_path)
    assert (greys(found), found.class_names) == ([[1, 2], [3, 4]], NAMES)
    assert greys(read(tmp_path, names=("sea lion", "cat"))) == [[3, 4], [1, 2]]


def test_sub_folders_give_the_classes_of_images_with_any_name(tmp_path, write):
    write({"cat/a.png": 1, "cat/b.png": 2, "sea lion/x-0000.png": 3, "sea lion/y.png": 4})
    assert greys(read(tmp_path)) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("names", [("1.png", "2.png"), ("sample-0000.png", "sample-0001.png")])
def test_without_class_names_in_the_file_names_the_classes_are_not_known(tmp_path, write, names):
    write(dict(zip(names, (5, 6), strict=True)))
    found = read(tmp_path)
    assert (greys(found), found.class_names) == ([[5, 6]], None)


def test_hidden_files_and_other_files_are_ignored(tmp_path, write):
    write({"1.png": 5})
    for name in (".2.png", "notes.txt"):
        (tmp_path / name).write_text("words")
    assert greys(read(tmp_path)) == [[5]]


def test_images_are_converted_to_the_channels_and_levels_of_the_network(tmp_path, write):
    write({"cat-0000.png": 0, "sea_lion-0000.png": 255})
    found = read(tmp_path, channels=1, levels=17).pixels
    assert torch.equal(found, torch.tensor([0, 16]).view(2, 1, 1, 1, 1).expand(2, 1, 1, 2, 3))


def test_unequal_numbers_of_samples_are_refused_with_the_counts(tmp_path, write):
    write({"cat-0000.png": 1, "cat-0001.png": 1, "sea_lion-0000.png": 2})
    assert fault(tmp_path) == "unequal numbers of samples (cat 2, sea lion 1); draw the rest, or remove some"
    (tmp_path / "sea_lion-0000.png").unlink()
    assert "(cat 2, sea lion 0)" in fault(tmp_path)


def test_a_class_without_a_folder_is_refused(tmp_path, write):
    write({"cat/1.png": 1})
    assert "(cat 1, sea lion 0)" in fault(tmp_path)


def test_an_incomplete_folder_is_refused(tmp_path, write):
    write({"cat-0000.png": 1, "sea_lion-0000.png": 2})
    write_text(tmp_path / MANIFEST, '{"samples_per_class": 3}')
    assert fault(tmp_path) == "holds 1 of 3 samples per class; draw the rest first"


def test_an_unknown_class_is_refused(tmp_path, write):
    write({"cat-0000.png": 1, "sea_lion-0000.png": 2, "wolf-0000.png": 3})
    assert fault(tmp_path) == "'wolf' is not a class, expected cat, sea_lion; rename or remove it"
    (tmp_path / "wolf-0000.png").rename(tmp_path / "holiday.png")
    assert fault(tmp_path) == "'holiday.png' is not a class, expected cat, sea_lion; rename or remove it"


def test_an_unknown_class_folder_is_refused(tmp_path, write):
    write({"cat/1.png": 1, "wolf/1.png": 2})
    assert fault(tmp_path) == "'wolf' is not a class, expected cat, sea lion; rename or remove it"


def test_samples_of_other_classes_are_not_read_as_samples_without_classes(tmp_path, write):
    write({"dog-0000.png": 1, "wolf-0000.png": 2})
    write_text(tmp_path / MANIFEST, "{}")
    assert fault(tmp_path) == "'dog' is not a class, expected cat, sea_lion; rename or remove it"


def test_a_folder_with_both_folders_and_images_is_refused(tmp_path, write):
    write({"cat/1.png": 1, "2.png": 1})
    assert fault(tmp_path) == "holds cat/ and 2.png; keep only folders or only images"


@pytest.mark.parametrize("folders", [(), ("cat", "sea lion")])
def test_a_folder_without_an_image_is_refused(tmp_path, folders):
    for name in folders:
        (tmp_path / name).mkdir()
    assert fault(tmp_path) == "no image that can be read in this folder; draw some, or name another"


def test_a_missing_folder_is_refused(tmp_path):
    assert fault(tmp_path / "none") == "no such folder of samples; correct the path, or draw some"


def test_all_files_that_cannot_be_used_are_named(tmp_path, write):
    write({"cat-0000.png": 1, "sea_lion-0001.png": 2})
    write({"cat-0001.png": 1}, size=(3, 2))
    (tmp_path / "sea_lion-0000.png").write_bytes(b"")
    assert fault(tmp_path).replace(f"{tmp_path}/", "").splitlines() == [
        "cat-0001.png: 3 x 2, expected 2 x 3; draw at that size",
        "sea_lion-0000.png: the file is empty; replace it or remove it",
    ]
