"""`classify` and `explain`, from image files."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from runs import CLASSES

from pixelbayes import experiments
from pixelbayes.checkpoints.calibration_record import CalibrationRecord, OODReference
from pixelbayes.cli import main
from pixelbayes.metrics.ood import SCORES


def explain(run, images, out, *options):
    return main(["explain", str(run), *map(str, images), "--out", str(out), "--device", "cpu", *options])


def ratios(path):
    with path.open(newline="") as file:
        return [[float(value) for value in row] for row in csv.reader(file)]


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def classify(run, images, out):
    assert main(["classify", str(run), *map(str, images), "--out", str(out), "--device", "cpu"]) == 0
    return read_csv(out)


# classify


def test_classify_gives_the_same_numbers_as_evaluate(finished_run, pictures, tmp_path, capsys):
    folder, file = pictures / "validation" / "dog", pictures / "validation" / "owl" / "03.png"
    rows = classify(finished_run, [folder, file], tmp_path / "classes.csv")
    assert [row["image"] for row in rows] == [*(f"{folder}/0{index}.png" for index in range(4)), str(file)]
    expected = {row["image"]: row for row in read_csv(finished_run / "predictions.csv")}
    for row in rows:
        other = expected[str(Path(row["image"]).relative_to(pictures))]
        assert row["predicted"] == other["predicted"]
        for name in CLASSES:
            assert float(row[f"log p(x | {name})"]) == pytest.approx(float(other[f"log p(x | {name})"]), rel=1e-5)
            assert float(row[f"p({name} | x)"]) == pytest.approx(float(other[f"p({name} | x)"]), abs=1e-4)
    table = capsys.readouterr().out
    assert all(row["predicted"] in table for row in rows)


def test_a_tree_of_class_folders_is_classified_image_by_image(finished_run, pictures, tmp_path):
    tree = shutil.copytree(pictures / "test", tmp_path / "tree")
    shutil.copytree(tree / "cat", tree / "deep" / "deeper" / "cat")
    (tree / "dog" / "Thumbs.db").write_text("made by a system")
    rows = classify(finished_run, [tree], tmp_path / "classes.csv")
    assert [row["image"] for row in rows] == sorted(map(str, tree.rglob("*.png")))
    assert len(rows) == 16


@pytest.mark.parametrize(("limit", "exceeded"), [(0.0, True), (99.0, False)])
def test_an_image_that_exceeds_a_limit_is_called_out_of_distribution(
    run, pictures, tmp_path, monkeypatch, capsys, limit, exceeded
):
    monkeypatch.setenv("COLUMNS", "200")  # the table is not wrapped
    path = run / "calibration.json"
    limits = {SCORES[0]: limit, SCORES[1]: None, SCORES[2]: None}
    replace(CalibrationRecord.read(path), ood=OODReference(bits_per_dim=1.0, limits=limits)).write(path)
    classify(run, [pictures / "test/cat/00.png"], tmp_path / "c.csv")
    output = capsys.readouterr().out
    assert "out of distribution by" in output
    assert (SCORES[0] in output) is exceeded


def test_limits_apply_only_to_the_number_of_views_they_were_fitted_with(finished_run, pictures):
    trained, measurement = experiments.classify(finished_run, [pictures / "test/cat/00.png"], device="cpu")
    assert experiments.out_of_distribution(trained, measurement) is not None
    assert experiments.out_of_distribution(trained, replace(measurement, views=2)) is None


def test_without_calibration_the_command_that_calibrates_is_named(run, pictures, tmp_path, capsys):
    (run / "calibration.json").unlink()
    classify(run, [pictures / "test/cat/00.png"], tmp_path / "c.csv")
    output = capsys.readouterr().out
    assert "not calibrated; `pixelbayes calibrate`" in output
    assert "out of distribution by" not in output


# explain


@pytest.mark.parametrize("classes", [("owl", "cat"), ("2", "0")])
def test_the_ratios_of_all_pixels_sum_to_that_of_the_image(classes, finished_run, pictures, tmp_path, capsys):
    image = pictures / "test/dog/01.png"
    assert explain(finished_run, [image], tmp_path / "why", "--classes", *classes) == 0
    found = ratios(tmp_path / "why/01.csv")
    assert [len(row) for row in found] == [8] * 6
    (row,) = classify(finished_run, [image], tmp_path / "classes.csv")
    total = float(row["log p(x | owl)"]) - float(row["log p(x | cat)"])
    assert sum(map(sum, found)) == pytest.approx(total, abs=5e-3)  # the csv files have six digits
    assert f"{total:.1f}" in capsys.readouterr().out
    assert (tmp_path / "why/01.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "why/01.svg").read_text()


def test_by_default_the_two_most_probable_classes_are_compared(finished_run, pictures, tmp_path):
    explain(finished_run, [pictures / "test/owl/00.png"], tmp_path / "why")
    (row,) = classify(finished_run, [pictures / "test/owl/00.png"], tmp_path / "classes.csv")
    _, second, first = sorted(float(row[f"log p(x | {name})"]) for name in CLASSES)
    assert sum(map(sum, ratios(tmp_path / "why/00.csv"))) == pytest.approx(first - second, abs=5e-3)


def test_explanations_of_images_of_the_same_name_have_different_names(finished_run, pictures, tmp_path):
    shutil.copy(pictures / "test/owl/00.png", tmp_path / "00-1.png")
    images = [pictures / "test/cat/00.png", pictures / "test/dog/00.png", tmp_path / "00-1.png"]
    explain(finished_run, images, tmp_path / "why")
    assert len(list((tmp_path / "why").glob("*.csv"))) == 3
