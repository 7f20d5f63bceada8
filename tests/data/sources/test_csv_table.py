import pytest

from pixelbayes.data import DataConfig, load_data
from pixelbayes.utils.errors import InputError


@pytest.fixture
def table(tmp_path, picture):
    """Writes `NAME.csv` and the images a.png .. d.png beside it; returns the config that reads them."""
    for name in "abcd":
        picture(f"{name}.png")

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
        return DataConfig(source=f"csv:{tmp_path}", validation_fraction=0)

    return write


def faults(config):
    with pytest.raises(InputError) as caught:
        load_data(config)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("header", ["", "path,label\n", "image, class\n", "\ufeffpath,label\r\n"])
def test_a_header_is_optional(header, table):
    data = load_data(table(train=f"{header}a.png,0\nb.png,1\n"))
    assert data.split("train").names == ("a.png", "b.png")
    assert data.split("train").labels.tolist() == [0, 1]
    assert data.class_names == ("0", "1")


def test_labels_may_be_names_in_alphabetical_order(table):
    data = load_data(table(train="a.png,dog\nb.png, cat\n"))
    assert (data.class_names, data.split("train").labels.tolist()) == (("cat", "dog"), [1, 0])


def test_class_names_determine_the_order_of_names_and_the_meaning_of_numbers(table, tmp_path):
    table(train="a.png,dog\nb.png,cat\nc.png,1\n")
    data = load_data(DataConfig(source=f"csv:{tmp_path}", class_names=("dog", "cat"), validation_fraction=0))
    assert (data.class_names, data.split("train").labels.tolist()) == (("dog", "cat"), [0, 1, 1])


@pytest.mark.parametrize("unknown", ["-1", ""])
def test_an_unknown_label_leaves_the_split_usable(unknown, table):
    data = load_data(table(train="a.png,0\nb.png,1\n", test=f"c.png,{unknown}\nd.png,1\n"))
    assert data.split("test").labels.tolist() == [-1, 1]


def test_validation_may_be_called_val_and_paths_may_be_absolute(table, tmp_path):
    data = load_data(table(train=f"{tmp_path}/a.png,0\n\nb.png,1\n", val="c.png,1\n", submission="z.png,9\n"))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 2, "validation": 1}


def test_a_test_table_alone_can_be_read_for_evaluation(table):
    data = load_data(table(test="a.png,1\nb.png,0\n"))
    assert list(data.splits) == ["test"]
    with pytest.raises(InputError, match="has no 'train' split, only test"):
        data.split("train")


def test_all_faults_of_all_tables_are_listed_by_row(table, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"words")
    table(train="path,label\na.png,cat\nb.png,dgo\nc.png\nnone.png,dog\n", test="bad.png,cat\nd.png,cat,1\n")
    assert faults(DataConfig(source=f"csv:{tmp_path}", class_names=("cat", "dog"))) == [
        "test.csv row 2: 3 columns instead of path,label; quote a path with a comma",
        "train.csv row 4: 1 columns instead of path,label; quote a path with a comma",
        "train.csv row 3: class 'dgo' is not among cat, dog (from --class-names or the network); correct either",
        "test.csv row 1: bad.png: not one of PNG, JPEG, WEBP, BMP, GIF, TIFF, PPM; convert it or remove it",
        "train.csv row 5: none.png: no such file; correct the path or remove the entry",
    ]


def test_faults_after_the_first_twenty_are_counted(table):
    text = "".join(f"none{index}.png,0\n" for index in range(25))
    assert faults(table(train=text))[-1] == "... and 5 more faults like these"


def test_numbers_with_a_gap_are_rejected(table):
    assert faults(table(train="a.png,0\nb.png,2\n")) == [
        "the largest label is 2, but no image has label 1; number the classes 0, 1, 2, ..."
    ]


def test_a_large_number_instead_of_a_label_is_a_fault_and_does_not_create_as_many_classes(table):
    assert "no image has label 1" in faults(table(train="a.png,0\nb.png,123456789\n"))[0]
    assert "is a name, but others are numbers" in faults(table(train=f"a.png,0\nb.png,{'9' * 5000}\n"))[0]


def test_a_name_among_numbers_is_rejected(table):
    assert faults(table(train="a.png,0\nb.png,1\nc.png,cat\n")) == [
        "train.csv row 3: label 'cat' is a name, but others are numbers; use one kind"
    ]


def test_a_table_without_labels_is_rejected(table):
    (fault,) = faults(table(train="a.png,\nb.png,-1\n"))
    assert "no image has a label" in fault


def test_missing_empty_duplicate_and_binary_tables_are_named(table, tmp_path):
    assert "no train.csv here" in faults(DataConfig(source=f"csv:{tmp_path}"))[0]
    (tmp_path / "train.csv").write_bytes(b"\xff\xfe\x00")
    found = faults(table(val="a.png,0\n", validation="a.png,0\n", test="\n"))
    assert f"{tmp_path}/validation.csv: a second validation split beside val.csv; merge them" in found
    assert f"{tmp_path}/test.csv: no rows; write path,label rows or remove the file" in found
    assert any(fault.startswith(f"{tmp_path}/train.csv: cannot be read") for fault in found)
