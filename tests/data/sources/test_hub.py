import sys

import numpy as np
import pytest
from PIL import Image

from pixelbayes.data import DataConfig, load_data
from pixelbayes.utils.errors import InputError

datasets = pytest.importorskip("datasets")


def dataset(labels, names=("cat", "dog"), column="label"):
    rng = np.random.default_rng(len(labels))
    images = [Image.fromarray(rng.integers(0, 256, (6, 8), dtype=np.uint8)) for _ in labels]
    features = datasets.Features(
        {"id": datasets.Value("int64"), "photo": datasets.Image(), column: datasets.ClassLabel(names=list(names))}
    )
    return datasets.Dataset.from_dict({"id": list(labels), "photo": images, column: labels}, features=features)


@pytest.fixture
def saved(tmp_path):
    def save(data):
        data.save_to_disk(tmp_path / "saved")
        return f"hub:{tmp_path / 'saved'}"

    return save


def test_columns_are_found_by_type_and_splits_by_name(saved):
    source = saved(datasets.DatasetDict(train=dataset([0, 1, 1], column="kind"), valid=dataset([1], column="kind")))
    data = load_data(DataConfig(source=source))
    labels = {name: split.labels.tolist() for name, split in data.splits.items()}
    assert labels == {"train": [0, 1, 1], "validation": [1]}
    assert data.class_names == ("cat", "dog")
    assert data.split("train").names == ("train row 0", "train row 1", "train row 2")


def test_the_pixels_are_those_that_were_saved(saved):
    data = load_data(DataConfig(source=saved(datasets.DatasetDict(train=dataset([0, 1])))))
    expected = [np.array(image) for image in dataset([0, 1])["photo"]]
    assert np.array_equal(data.split("train").pixels[:, 0].numpy(), expected)
    assert data.preprocessing.image_shape.channels == 1


def test_a_single_part_is_divided_into_three_splits(saved):
    data = load_data(DataConfig(source=saved(dataset([0, 1] * 10))))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 12, "validation": 4, "test": 4}
    assert data.cut_from_train == ("validation", "test")


def test_a_folder_saved_by_datasets_is_recognised(saved):
    source = saved(dataset([0, 1])).removeprefix("hub:")
    assert load_data(DataConfig(source=source)).class_names == ("cat", "dog")


def test_class_names_reorder_the_labels_and_minus_one_is_unknown(saved):
    source = saved(datasets.DatasetDict(train=dataset([0, 1]), test=dataset([-1, 0])))
    data = load_data(DataConfig(source=source, class_names=("dog", "cat")))
    assert data.split("train").labels.tolist() == [1, 0]
    assert data.split("test").labels.tolist() == [-1, 1]


def test_a_test_split_without_the_label_column_is_unlabelled(saved):
    splits = datasets.DatasetDict(train=dataset([0, 1]), test=dataset([0]).remove_columns("label"))
    assert load_data(DataConfig(source=saved(splits))).split("test").labels.tolist() == [-1]


def test_a_class_missing_from_class_names_is_a_fault(saved):
    with pytest.raises(InputError, match="class 'cat' is not among "):
        load_data(DataConfig(source=saved(dataset([0, 1])), class_names=("dog",)))


def test_a_damaged_image_is_named_by_its_row(saved):
    rows = dataset([0, 1]).cast_column("photo", datasets.Image(decode=False))
    damaged = rows[1] | {"photo": {"bytes": b"words", "path": None}}
    rows = datasets.Dataset.from_list([rows[0], damaged], features=rows.features)
    with pytest.raises(InputError, match="train row 1: not one of PNG"):
        load_data(DataConfig(source=saved(rows)))


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        (["dog", "cat", None, "dog"], ("cat", "dog"), [1, 0, -1, 1]),
        ([10, 2, -1, 10], ("2", "10"), [1, 0, -1, 1]),
    ],
)
def test_labels_may_be_text_or_whole_numbers(values, names, expected, saved):
    rows = dataset([0] * 4).remove_columns("label").add_column("Category", values)
    data = load_data(DataConfig(source=saved(datasets.DatasetDict(train=rows, dev=rows, testing=rows))))
    assert data.class_names == names
    assert {name: split.labels.tolist() for name, split in data.splits.items()} == dict.fromkeys(
        ("train", "validation", "test"), expected
    )


def test_other_splits_are_counted_and_two_of_one_kind_are_rejected(saved, tmp_path):
    splits = datasets.DatasetDict(train=dataset([0, 1]), test=dataset([1]), extra=dataset([0, 1, 1]))
    assert load_data(DataConfig(source=saved(splits))).left_out == {"row of split extra": 3}
    splits = datasets.DatasetDict(train=dataset([0, 1]), val=dataset([1]), dev=dataset([0]))
    splits.save_to_disk(tmp_path / "twice")
    with pytest.raises(InputError, match="val and dev are both validation splits; save only one"):
        load_data(DataConfig(source=f"hub:{tmp_path}/twice"))


def test_a_data_set_without_class_labels_is_rejected(saved):
    with pytest.raises(InputError, match=r"no column of type ClassLabel, .* only id, photo; choose another data set"):
        load_data(DataConfig(source=saved(dataset([0]).remove_columns("label"))))


def test_a_data_set_that_cannot_be_loaded_is_named_in_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        load_data(DataConfig(source=f"hub:{tmp_path}/none"))
    assert "\n" not in str(caught.value)


def test_without_the_library_the_message_names_the_package_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'pixelbayes\[hub\]'"):
        load_data(DataConfig(source="hub:cifar10"))
