import os

import pytest
from PIL import Image

from pixelbayes.data import DataConfig, load_data
from pixelbayes.data.sources.folder import SUFFIXES
from pixelbayes.utils.errors import InputError


def faults(config):
    with pytest.raises(InputError) as caught:
        load_data(config)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("training", "val", "Test"), ("Train", "dev", "testing")]
)
def test_split_folders_may_have_their_usual_names(names, tmp_path, class_folders):
    for name, count in zip(names, (3, 2, 1), strict=True):
        class_folders(name, count)
    data = load_data(DataConfig(source=f"folder:{tmp_path}"))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 6, "validation": 4, "test": 2}
    assert list(data.splits) == ["train", "validation", "test"]
    assert (data.class_names, data.cut_from_train) == (("cat", "dog"), ())


def test_class_folders_without_splits_are_divided_into_three_splits_the_same_way_each_time(tmp_path, class_folders):
    class_folders(".", 20)
    config = DataConfig(source=f"folder:{tmp_path}")
    data, again = load_data(config), load_data(config)
    assert {name: split.labels.bincount().tolist() for name, split in data.splits.items()} == {
        "train": [14, 14],
        "validation": [3, 3],
        "test": [3, 3],
    }
    assert data.cut_from_train == ("validation", "test")
    assert [split.names for split in data.splits.values()] == [split.names for split in again.splits.values()]
    other = load_data(DataConfig(source=f"folder:{tmp_path}", split_seed=1))
    assert other.split("test").names != data.split("test").names


def test_a_missing_validation_split_is_cut_from_train_and_a_missing_test_split_stays_missing(tmp_path, class_folders):
    class_folders("train", 10)
    data = load_data(DataConfig(source=f"folder:{tmp_path}", validation_fraction=0.2))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 16, "validation": 4}
    assert data.cut_from_train == ("validation",)


def test_files_of_every_suffix_are_read_and_all_others_are_counted(tmp_path, picture):
    names = [
        f"train/cat/{i:02}{suffix}" for i, suffix in enumerate((*sorted(set(SUFFIXES) - {".pfm"}), ".TIF", ".JPG"))
    ]
    for name in names:
        picture(name, mode="1" if name.endswith(".pbm") else "RGB")
    for name in ("cat/notes.txt", "cat/README", "cat/Thumbs.db", "cat/.DS_Store", "desktop.ini", "../readme.txt"):
        (tmp_path / "train" / name).write_text("not an image")
    data = load_data(DataConfig(source=f"folder:{tmp_path}", validation_fraction=0))
    assert {".gif", ".jfif", ".jpe", ".pgm", ".ppm", ".tif", ".tiff"} <= set(SUFFIXES)
    assert data.split("train").names == tuple(names)
    assert data.left_out == {
        "hidden or system file": 3,
        "not an image that can be read (.txt)": 2,
        "not an image that can be read (no suffix)": 1,
    }


def test_a_gif_gives_its_first_frame(tmp_path):
    frames = [Image.new("L", (8, 6), grey) for grey in (50, 200)]
    (tmp_path / "train/cat").mkdir(parents=True)
    frames[0].save(tmp_path / "train/cat/0.gif", save_all=True, append_images=frames[1:])
    assert (load_data(DataConfig(source=f"folder:{tmp_path}")).split("train").pixels == 50).all()


@pytest.mark.skipif(".heic" in SUFFIXES, reason="pillow-heif is installed")
def test_a_heic_image_is_counted_with_the_package_that_reads_it(tmp_path, class_folders):
    class_folders("train", 3)
    (tmp_path / "train/cat/IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    data = load_data(DataConfig(source=str(tmp_path)))
    remedy = "HEIC is read after pip install 'pixelbayes[heic]'"
    assert data.left_out == {f"image that cannot be read ({remedy})": 1}
    for path in (tmp_path / "train/cat").glob("*.png"):
        path.unlink()
    assert faults(DataConfig(source=str(tmp_path))) == [
        f"{tmp_path}/train/cat: no image in this class folder that can be read; {remedy}"
    ]


@pytest.mark.skipif(".heic" not in SUFFIXES, reason="pillow-heif is not installed")
def test_a_heic_image_is_read_by_the_extra(tmp_path, class_folders, picture):
    class_folders("train", 1)
    picture("train/cat/IMG_1.HEIC", size=(64, 64))
    data = load_data(DataConfig(source=str(tmp_path), image_size=(6, 8)))
    assert "train/cat/IMG_1.HEIC" in data.split("train").names


def test_links_are_followed_and_those_that_lead_nowhere_are_faults(tmp_path, class_folders, picture):
    class_folders("train", 2)
    (tmp_path / "train/cat/link.png").symlink_to(picture("elsewhere.png").rename(tmp_path / ".elsewhere.png"))
    (tmp_path / "train/owl").symlink_to(tmp_path / "train/cat")
    assert load_data(DataConfig(source=str(tmp_path))).class_names == ("cat", "dog", "owl")
    (tmp_path / "train/bat").symlink_to(tmp_path / "gone")
    (tmp_path / "train/dog/gone.png").symlink_to("nowhere.png")
    assert faults(DataConfig(source=str(tmp_path))) == [
        f"{tmp_path}/train/{name}: a link to a file that does not exist; correct it or remove it"
        for name in ("bat", "dog/gone.png")
    ]


def test_numbers_are_in_the_order_of_their_values_and_other_names_follow(tmp_path, picture):
    for name in ("10", "9", "yes", "3", "1.5"):
        picture(f"{name}/0.png")
    assert load_data(DataConfig(source=str(tmp_path))).class_names == ("1.5", "3", "9", "10", "yes")


def test_names_that_are_not_utf8_are_escaped(tmp_path, class_folders):
    class_folders(".", 3)
    (tmp_path / "cat").rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    data = load_data(DataConfig(source=str(tmp_path)))
    assert data.class_names == ("caf\\udce9", "dog")
    assert "caf\\udce9/00.png" in [name for split in data.splits.values() for name in split.names]


@pytest.mark.parametrize(("root", "splits"), [("data/data/train", 2), ("data/data", 3)])
def test_folders_around_the_data_are_opened(root, splits, tmp_path, class_folders):
    class_folders(root, 4)
    (tmp_path / "data/licence.txt").touch()
    data = load_data(DataConfig(source=str(tmp_path)))
    assert (data.class_names, len(data.splits)) == (("cat", "dog"), splits)
    assert data.left_out == {"not an image that can be read (.txt)": 1}


def test_a_single_class_is_not_a_folder_around_the_data(tmp_path, picture):
    picture("cat/0.png")
    assert load_data(DataConfig(source=str(tmp_path))).class_names == ("cat",)


def test_a_table_beside_a_single_folder_of_images_is_not_ignored(tmp_path, picture):
    picture("images/0.png")
    for source, header in ((str(tmp_path), "name,breed"), (f"folder:{tmp_path}", "path,label")):
        (tmp_path / "labels.csv").write_text(f"{header}\n0,cat\n")
        (fault,) = faults(DataConfig(source=source))
        assert fault == (
            f"{tmp_path}/labels.csv: a table beside the only class folder images; if it has the labels, call its "
            f"columns path and label and name it, as --data csv:{tmp_path}/labels.csv; if not, move it away"
        )


def test_class_names_determine_the_order_of_the_labels(tmp_path, class_folders):
    class_folders("train", 1)
    data = load_data(DataConfig(source=f"folder:{tmp_path}", class_names=("dog", "cat")))
    assert dict(zip(data.split("train").names, data.split("train").labels.tolist(), strict=True)) == {
        "train/cat/00.png": 1,
        "train/dog/00.png": 0,
    }


def test_a_class_may_be_called_train(tmp_path, picture):
    for name in ("car", "plane", "train"):
        picture(f"{name}/0.png")
    assert load_data(DataConfig(source=f"folder:{tmp_path}")).class_names == ("car", "plane", "train")


def test_test_images_outside_class_folders_have_unknown_labels(tmp_path, class_folders, picture):
    class_folders("train", 4)
    picture("test/0.png")
    data = load_data(DataConfig(source=f"folder:{tmp_path}"))
    assert data.split("test").labels.tolist() == [-1]


def test_all_faults_of_a_tree_are_listed_together(tmp_path, class_folders, picture):
    class_folders("train", 2)
    class_folders("val", 1)
    class_folders("valid", 1)
    picture("train/cat/more/0.png")
    picture("stray.png")
    picture("train/stray.png")
    picture("extra/cat/0.png")
    picture("test/bird/0.png")
    (tmp_path / "train/empty").mkdir()
    (tmp_path / "train/dog/bad.png").write_bytes(b"")
    found = faults(DataConfig(source=f"folder:{tmp_path}", class_names=("cat", "dog", "empty")))
    assert [fault.removeprefix(f"{tmp_path}/").partition(";")[0] for fault in found] == [
        "stray.png: not in the folder of a split",
        "extra: not the name of a split",
        "valid: a second validation split beside val",
        "test/bird: class 'bird' is not among cat, dog, empty (from --class-names or the network)",
        "train/stray.png: not in a class folder",
        "train/cat/more: a folder inside a class folder",
        "train/empty: no image in this class folder that can be read",
        "train/dog/bad.png: the file is empty",
    ]


def test_split_folders_without_class_folders_are_rejected_with_the_remedy(tmp_path, picture):
    picture("train/0.png")
    picture("test/0.png")
    assert faults(DataConfig(source=f"folder:{tmp_path}")) == [
        f"{tmp_path}/train/0.png: not in a class folder; move it into one"
    ]


def test_a_class_without_training_images_is_rejected(tmp_path, picture):
    picture("train/cat/0.png")
    picture("validation/dog/0.png")
    (fault,) = faults(DataConfig(source=f"folder:{tmp_path}"))
    assert fault.endswith("class 'dog' has no image in train; add some or leave the class out")


def test_an_empty_and_a_missing_folder_are_named(tmp_path):
    assert faults(DataConfig(source=f"folder:{tmp_path}")) == [f"folder:{tmp_path}: no images found"]
    (fault,) = faults(DataConfig(source=f"folder:{tmp_path}/none"))
    assert fault == f"{tmp_path}/none: no such folder; correct --data"
