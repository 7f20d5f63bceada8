import json
import shutil

import pytest

from pixelbayes.data import DataConfig, load_data
from pixelbayes.data.summary import summarise, summary_lines, summary_table
from pixelbayes.utils.console import make_console


@pytest.fixture
def summary(tmp_path, picture):
    """Three cats and two dogs in train. One cat is there twice, and once as a dog, and also in validation."""
    for name in ("train/cat/0.png", "train/cat/1.png", "train/dog/0.png", "test/unlabelled.png"):
        picture(name)
    for copy in ("train/cat/2.png", "train/dog/1.png", "validation/cat/0.png"):
        (tmp_path / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "train/cat/0.png", tmp_path / copy)
    return summarise(load_data(DataConfig(source=f"folder:{tmp_path}")))


def test_images_are_counted_by_split_and_class(summary):
    assert summary["splits"] == {
        "train": {"images": 5, "per_class": {"cat": 3, "dog": 2}, "unlabelled": 0},
        "validation": {"images": 1, "per_class": {"cat": 1, "dog": 0}, "unlabelled": 0},
        "test": {"images": 1, "per_class": {"cat": 0, "dog": 0}, "unlabelled": 1},
    }
    assert summary["imbalance"] == 1.5


def test_duplicates_are_counted_within_and_across_splits_and_conflicts_are_named(summary):
    assert summary["duplicates"] == {
        "within": {"train": 2, "validation": 0, "test": 0},
        "across": {"train/validation": 1, "train/test": 0, "validation/test": 0},
        "conflicting": [
            [
                "train: train/cat/0.png",
                "train: train/cat/2.png",
                "train: train/dog/1.png",
                "validation: validation/cat/0.png",
            ]
        ],
    }


def test_the_summary_is_json(summary):
    assert json.loads(json.dumps(summary)) == summary


def test_the_lines_name_duplicates_and_conflicting_labels_and_classes_without_images(summary):
    lines = summary_lines(summary)
    assert [line for line in lines if line.startswith("without images")] == ["without images in validation: dog"]
    assert "duplicates within train: 2" in lines
    assert "images of validation that are also in train: 1" in lines
    assert any(line.startswith("same pixels, different labels: train: train/cat/0.png, ") for line in lines)


def test_the_lines_name_the_splits_that_were_cut_from_train(tmp_path, class_folders):
    class_folders(".", 4)
    data = load_data(DataConfig(source=f"folder:{tmp_path}"))
    assert "validation and test cut from train, stratified by class" in summary_lines(summarise(data))


def test_the_table_has_a_row_for_each_class_up_to_twenty(tmp_path, picture):
    for label in range(22):
        picture(f"train/class{label:02}/0.png")
    console = make_console(width=200)
    with console.capture() as capture:
        console.print(summary_table(summarise(load_data(DataConfig(source=f"folder:{tmp_path}")))))
    assert "class19" in capture.get()
    assert "class20" not in capture.get()
    assert "... and 2 more" in capture.get()


def test_what_is_not_used_and_classes_too_small_to_divide_have_a_line_and_names_are_not_markup(tmp_path, class_folders):
    class_folders(".", 4)
    (tmp_path / "dog/02.png").unlink()
    (tmp_path / "dog/03.png").unlink()
    (tmp_path / "dog").rename(tmp_path / "[red]")
    (tmp_path / "cat/Thumbs.db").touch()
    console = make_console(width=200)
    with console.capture() as capture:
        console.print(summary_table(summarise(load_data(DataConfig(source=f"folder:{tmp_path}")))))
    assert "not used: 1 x hidden or system file" in capture.get()
    assert "with one or two images, only in train: [red]" in capture.get()
    assert capture.get().count("[red]") == 2  # in the line and in the table
