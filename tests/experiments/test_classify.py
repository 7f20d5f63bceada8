"""`explain` and `classify`, from image files."""

import csv
import shutil

import pytest
from runs import CLASSES

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.calibration_record import FittedTemperature, Typical
from pixelbayes.cli import main
from pixelbayes.metrics.ood import SCORES


def explain(run, images, out, *options):
    return main(["explain", str(run), *map(str, images), "--out", str(out), "--device", "cpu", *options])


def ratios(path):
    with path.open(newline="") as file:
        return [[float(value) for value in row] for row in csv.reader(file)]


def classified(run, images, out):
    assert main(["classify", str(run), *map(str, images), "--out", str(out), "--device", "cpu"]) == 0
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("named", [("owl", "cat"), ("2", "0")])
def test_the_ratios_of_all_pixels_add_up_to_that_of_the_image(named, finished_run, pictures, tmp_path, capsys):
    image = pictures / "test/dog/01.png"
    assert explain(finished_run, [image], tmp_path / "why", "--classes", *named) == 0
    found = ratios(tmp_path / "why/01.csv")
    assert [len(row) for row in found] == [8] * 6
    (row,) = classified(finished_run, [image], tmp_path / "classes.csv")
    total = float(row["log p(x | owl)"]) - float(row["log p(x | cat)"])
    assert sum(map(sum, found)) == pytest.approx(total, abs=5e-3)  # of numbers written with six digits
    assert f"{total:.1f}" in capsys.readouterr().out
    assert (tmp_path / "why/01.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "why/01.svg").read_text()


def test_without_classes_the_likeliest_is_set_against_the_next(finished_run, pictures, tmp_path):
    explain(finished_run, [pictures / "test/owl"], tmp_path / "why")
    for row in classified(finished_run, [pictures / "test/owl"], tmp_path / "classes.csv"):
        _, second, first = sorted(float(row[f"log p(x | {name})"]) for name in CLASSES)
        found = ratios(tmp_path / "why" / f"{row['image'][-6:-4]}.csv")
        assert sum(map(sum, found)) == pytest.approx(first - second, abs=5e-3)


def test_images_of_one_name_do_not_overwrite_each_others_reasons(finished_run, pictures, tmp_path):
    shutil.copy(pictures / "test/owl/00.png", tmp_path / "00-1.png")
    images = [pictures / "test/cat/00.png", pictures / "test/dog/00.png", tmp_path / "00-1.png"]
    explain(finished_run, images, tmp_path / "why")
    assert len(list((tmp_path / "why").glob("*.csv"))) == 3


def with_limit(run, limit):
    path = run / "calibration.json"
    fitted = FittedTemperature.read(path)
    typical = Typical(bits_per_dim=1.0, limits={SCORES[0]: limit, SCORES[1]: None, SCORES[2]: None})
    FittedTemperature(**(vars(fitted) | {"typical": typical})).write(path)


def test_an_image_beyond_a_limit_is_said_to_be_unlike_training(run, pictures, tmp_path, capsys):
    image = pictures / "test/cat/00.png"
    for limit, said in ((0.0, True), (99.0, False)):
        with_limit(run, limit)
        classified(run, [image], tmp_path / "c.csv")
        assert (SCORES[0] in capsys.readouterr().out) is said


def test_without_calibration_nothing_is_said_of_outliers_but_how_to_have_it(run, pictures, tmp_path, capsys):
    (run / "calibration.json").unlink()
    assert checkpoint.load(run).calibration is None
    classified(run, [pictures / "test/cat/00.png"], tmp_path / "c.csv")
    output = capsys.readouterr().out
    assert "after `pixelbayes calibrate`" in output
    assert "unlike training" not in output
