import pytest

from pixelbayes.data import DataConfig, load_data
from pixelbayes.utils.errors import InputError


def faults(config):
    with pytest.raises(InputError) as caught:
        load_data(config)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("training", "val", "Test"), ("Train", "valid", "test")]
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


def test_files_of_every_listed_suffix_are_read_and_hidden_files_are_not(tmp_path, picture):
    names = tuple(f"train/cat/{name}" for name in ("a.png", "b.jpg", "c.jpeg", "d.webp", "e.bmp", "f.PNG"))
    for name in (*names, "train/cat/.hidden.png", "train/.cache/a.png"):
        picture(name)
    (tmp_path / "train/cat/notes.txt").write_text("not an image")
    data = load_data(DataConfig(source=f"folder:{tmp_path}", validation_fraction=0))
    assert data.split("train").names == names


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
    picture("train/stray.png")
    picture("extra/cat/0.png")
    picture("test/bird/0.png")
    (tmp_path / "train/empty").mkdir()
    (tmp_path / "train/dog/bad.png").write_bytes(b"")
    found = faults(DataConfig(source=f"folder:{tmp_path}", class_names=("cat", "dog", "empty")))
    assert [fault.removeprefix(f"{tmp_path}/").partition(";")[0] for fault in found] == [
        "extra: not the name of a split",
        "valid: a second validation split beside val",
        "test/bird: class 'bird' is not among cat, dog, empty (from --class-names or the network)",
        "train/stray.png: not in a class folder",
        "train/cat/more: a folder inside a class folder",
        "train/empty: no image (.png, .jpg, .jpeg, .webp, .bmp) in this class folder",
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
