import json
from pathlib import Path

import pytest

from pixelbayes.data import DataConfig, load_data
from pixelbayes.images.preprocessing import FORMATS
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


HEADERLESS = "a.png,1\nb.png,0\nc.png,1\n"


@pytest.mark.parametrize(
    "text",
    [
        HEADERLESS,
        "path,label\n" + HEADERLESS,
        "\ufeffImage, Class\r\n" + HEADERLESS,
        "file_name,breed\n" + HEADERLESS,
        "1,a.png\n0,b.png\n1,c.png\n",
        HEADERLESS.replace(",", ";"),
        HEADERLESS.replace(",", "\t"),
        "path;label;remark\na.png;1;big, red\nb.png;0;\nc.png;1;\n",
        ",target,width,Filename\n0,1.0,8,./a.png\n1,0.0,8,b.png\n2,1.0,8,c.png\n",
        "id,label\na,1\nb,0\nc,1\n",
    ],
)
def test_paths_and_labels_are_found_in_every_usual_form(text, table):
    split = load_data(table(train=text)).split("train")
    assert [Path(name).stem for name in split.names] == ["a", "b", "c"]
    assert split.labels.tolist() == [1, 0, 1]


def test_the_first_row_is_a_header_only_by_its_names(table):
    for row in ("pictures/none,0", "image,none.png"):
        assert faults(table(train=f"{row}\n{HEADERLESS}")) == [
            "train.csv row 1: neither a file nor names of columns; call the columns path and label"
        ]
    assert faults(table(train=f"none.png,0\n{HEADERLESS}")) == [
        "train.csv row 1: none.png: no such file; correct the path or remove the entry"
    ]


def test_a_table_of_several_columns_must_name_that_of_the_labels(table, tmp_path):
    assert faults(table(train="path,kind,size\na.png,cat,3\n")) == [
        f"{tmp_path}/train.csv: no column of labels among path, kind, size; call it label, or move the table away"
    ]


@pytest.mark.parametrize("folder", ["", "train/", "images/", "images/train/", "photos/"])
@pytest.mark.parametrize("rows", ["id,label\nx/1,cat\nx/2,dog\n", "x\\1.jpg,cat\nx\\2.jpg,dog\n"])
def test_images_are_found_beside_the_table_and_in_its_folders(folder, rows, tmp_path, picture):
    picture(f"{folder}x/1.jpg")
    picture(f"{folder}x/2.jpg")
    (tmp_path / "train.csv").write_text(rows)
    data = load_data(DataConfig(source=str(tmp_path), validation_fraction=0))
    assert data.split("train").labels.tolist() == [0, 1]
    assert data.left_out == {}


def test_an_id_of_several_images_is_ambiguous(tmp_path, picture):
    first, second = picture("images/1.jpg"), picture("images/1.png")
    (tmp_path / "train.csv").write_text("id,label\n1,cat\n")
    assert faults(DataConfig(source=str(tmp_path))) == [
        f"train.csv row 2: 1 may be any of {first}, {second}; write the whole path"
    ]


def test_the_images_and_tables_that_are_not_read_are_counted(tmp_path, table, picture):
    picture("test/e.png")
    data = load_data(table(train=HEADERLESS, sample_submission="id,label\ne,0\n"))
    assert data.left_out == {
        "table that is not read (sample_submission.csv)": 1,
        "image that no row of a table names": 2,
    }


@pytest.mark.parametrize("name", ["Train.csv", "train_labels.CSV", "trainLabels.tsv"])
def test_the_train_table_may_be_written_differently(name, tmp_path, table):
    table()
    (tmp_path / name).write_text(HEADERLESS)
    data = load_data(DataConfig(source=str(tmp_path), validation_fraction=0))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 3}


def test_a_single_table_of_any_name_is_divided(tmp_path, picture):
    for i in range(12):
        picture(f"images/{i}.png")
    rows = "".join(f"{i},{'cat' if i % 2 else 'dog'}\n" for i in range(12))
    (tmp_path / "labels.csv").write_text("id,label\n" + rows)
    (tmp_path / "sizes.csv").write_text("class,count\ncat,6\ndog,6\n")
    data = load_data(DataConfig(source=str(tmp_path)))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 8, "validation": 2, "test": 2}
    assert data.class_names == ("cat", "dog")
    (tmp_path / "more.csv").write_text("id,label\n" + rows)
    (fault,) = faults(DataConfig(source=str(tmp_path)))
    assert "labels.csv and more.csv name images; call one train.csv, or choose one, as --data csv:" in fault
    assert len(load_data(DataConfig(source=f"csv:{tmp_path}/more.csv")).splits) == 3


@pytest.mark.parametrize("text", ["path,split,label\na.png,Train,x\nb.png,train,y\nc.png,dev,x\nd.png,test,y\n", None])
def test_a_single_table_may_hold_the_splits_in_a_column_or_in_its_paths(text, tmp_path, table, picture):
    table()
    rows = [("train", "x"), ("train", "y"), ("val", "x"), ("test", "y")]
    paths = [picture(f"{split}/{i}.png").relative_to(tmp_path) for i, (split, _) in enumerate(rows)]
    by_path = "path,label\n" + "".join(f"{path},{label}\n" for path, (_, label) in zip(paths, rows, strict=True))
    (tmp_path / "all.csv").write_text(text or by_path)
    data = load_data(DataConfig(source=str(tmp_path)))
    labels = {name: split.labels.tolist() for name, split in data.splits.items()}
    assert labels == {"train": [0, 1], "validation": [0], "test": [1]}


def test_a_split_that_is_unknown_or_not_that_of_the_table_is_a_fault(table):
    text = "path,split,label\na.png,train,x\nb.png,holdout,y\nc.png,val,y\n"
    assert faults(table(train=text)) == [
        "train.csv row 3: its split is 'holdout', expected train; correct it",
        "train.csv row 4: its split is 'val', expected train; correct it",
    ]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_hugging_faces_imagefolder_is_read(suffix, tmp_path, picture):
    for split, count in {"train": 4, "test": 2}.items():
        rows = [{"file_name": f"{i}.png", "text": "a, b", "label": i % 2} for i in range(count)]
        for row in rows:
            picture(f"{split}/{row['file_name']}")
        lines = map(json.dumps, rows) if suffix == "jsonl" else ["file_name,text,label"]
        lines = [*lines, *(f'{i}.png,"a, b",{i % 2}' for i in range(count) if suffix == "csv")]
        (tmp_path / split / f"metadata.{suffix}").write_text("\n".join(lines))
    data = load_data(DataConfig(source=str(tmp_path), validation_fraction=0))
    labels = {name: split.labels.tolist() for name, split in data.splits.items()}
    assert labels == {"train": [0, 1, 0, 1], "test": [0, 1]}
    assert (data.class_names, data.left_out) == (("0", "1"), {})


def test_labels_may_be_names_in_alphabetical_order(table):
    data = load_data(table(train="a.png,dog\nb.png, cat\n"))
    assert (data.class_names, data.split("train").labels.tolist()) == (("cat", "dog"), [1, 0])


def test_class_names_determine_the_order_of_names(table, tmp_path):
    table(train="a.png,dog\nb.png,cat\n")
    data = load_data(DataConfig(source=f"csv:{tmp_path}", class_names=("dog", "cat"), validation_fraction=0))
    assert (data.class_names, data.split("train").labels.tolist()) == (("dog", "cat"), [0, 1])


def test_numbers_are_names_in_the_order_of_their_values(table):
    data = load_data(table(train="a.png,10\nb.png,2\nc.png,07\nd.png,7\n"))
    assert (data.class_names, data.split("train").labels.tolist()) == (("2", "07", "10"), [2, 0, 1, 1])


@pytest.mark.parametrize(
    ("labels", "class_names", "expected"),
    [
        ("0 1 1 2", ("owl", "cat", "dog"), [0, 1, 1, 2]),  # counted from 0, as the 0 shows
        ("1 2 2 3", ("owl", "cat", "dog"), "class '1' is not among owl, cat, dog"),
        ("1 2 2 1", ("owl", "cat", "dog"), "class '1' is not among owl, cat, dog"),  # from 0 or from 1
        ("0 owl cat dog", ("owl", "cat", "dog"), "class '0' is not among owl, cat, dog"),
        ("1 2 2 3", ("1", "2", "3"), [0, 1, 1, 2]),
        ("0 1 1 2", ("1", "2", "3"), "class '0' is not among 1, 2, 3"),
        ("01 2.0 2 3", ("1", "2", "3"), [0, 1, 1, 2]),
    ],
)
def test_a_number_is_a_position_only_if_it_cannot_be_anything_else(labels, class_names, expected, table, tmp_path):
    rows = zip("abcd", labels.split(), strict=True)
    table(test="".join(f"{name}.png,{label}\n" for name, label in rows))
    config = DataConfig(source=f"csv:{tmp_path}", class_names=class_names)
    if isinstance(expected, str):
        assert expected in faults(config)[0]
    else:
        assert load_data(config).split("test").labels.tolist() == expected


def test_the_labels_as_the_tables_write_them_are_kept(table, tmp_path):
    table(train="a.png,0\nb.png,1\n", test="c.png,\n")
    config = DataConfig(source=f"csv:{tmp_path}", class_names=("owl", "cat", "dog"))
    with pytest.raises(InputError, match="class 'dog' has no image in train"):
        load_data(config)
    (tmp_path / "train.csv").rename(tmp_path / "validation.csv")
    assert load_data(config).written_labels == ("0", "1", "2")


@pytest.mark.parametrize("unknown", ["-1", "", "-1.0", "nan", "None", "NULL"])
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
        "test.csv row 2: 3 columns instead of path,label; quote a path with a comma, or write the names of the "
        "columns into the first row",
        "train.csv row 4: 1 columns instead of path,label; quote a path with a comma",
        "train.csv row 3: class 'dgo' is not among cat, dog (from --class-names or the network); correct either",
        f"test.csv row 1: bad.png: not one of {', '.join(FORMATS)}; convert it or remove it",
        "train.csv row 5: none.png: no such file; correct the path or remove the entry",
    ]


def test_faults_after_the_first_twenty_are_counted(table):
    text = "".join(f"none{index}.png,0\n" for index in range(25))
    assert faults(table(train=text))[-1] == "... and 5 more faults like these"


def test_labels_of_minus_one_and_one_are_not_taken_for_a_single_class(table):
    (fault,) = faults(table(train="a.png,1\nb.png,-1\n"))
    assert fault.endswith("all labels are '1' or unknown; if -1 is a class, write another name for it")


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
