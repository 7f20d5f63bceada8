"""The two tasks of the course."""

from pathlib import Path

import pytest
from runs import CLASSES

from pixelbayes.cli import main


@pytest.fixture
def generate(finished_run, classifier_run, pictures, tmp_path, monkeypatch):
    """`pixelbayes course generate` in an empty folder; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    fixed = ["--data", str(pictures), "--classifier", str(classifier_run), "--device", "cpu"]
    return lambda *options: main(["course", "generate", str(finished_run), *fixed, *options])


def test_generate_draws_25_samples_of_each_class_once_and_measures_them_against_the_test_images(
    generate, pictures, capsys
):
    assert generate() == 0
    written = {path: path.stat().st_mtime_ns for path in Path("samples").iterdir()}
    names = sorted(path.name for path in written if path.suffix == ".png")
    assert names == [f"{name}-{index:04d}.png" for name in CLASSES for index in range(25)]
    output = capsys.readouterr().out
    assert "75 images, 25 of each class, in samples" in output
    assert f"against {pictures}, test, 6 x 8" in " ".join(output.split())
    assert "│ all" in output
    assert generate() == 0
    assert generate("--seed", "1") == 2
    assert capsys.readouterr().err.endswith(
        "samples: holds samples with other settings (seed is 0, now 1); name another, or add --overwrite\n"
    )
    assert {path: path.stat().st_mtime_ns for path in Path("samples").iterdir()} == written
    assert generate("--seed", "1", "--overwrite") == 0
    assert {path: path.stat().st_mtime_ns for path in Path("samples").iterdir()} != written


def test_classify_prints_the_accuracy_on_validation_and_writes_predictions_of_the_test_images(
    finished_run, pictures, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for split, label in (("train", "{}"), ("validation", "{}"), ("test", "-1")):  # the course's test has no labels
        rows = [f"{pictures}/{split}/{name}/0{index}.png" for name in CLASSES for index in range(4)]
        lines = [f"{row},{label.format(Path(row).parent.name)}" for row in rows]
        Path(f"{split}.csv").write_text("\n".join(lines) + "\n")
    assert main(["course", "classify", str(finished_run), "--data", "csv:.", "--device", "cpu"]) == 0
    head, *rows = Path("submission.csv").read_text().splitlines()
    assert head == "id,label"
    written = [name for name in CLASSES for _ in range(4)]  # as in the tables; all are classified correctly
    assert [row.rpartition(",")[2] for row in rows] == written
    output = capsys.readouterr().out
    assert "csv:., validation" in output
    assert "accuracy" in output
    assert "12 predictions in submission.csv" in output
