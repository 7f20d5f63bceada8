"""`calibrate`, and what it changes."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
import torch
from runs import CLASSES

from pixelbayes import experiments as experiment
from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.calibration_record import FittedTemperature
from pixelbayes.cli import main


@pytest.fixture
def calibrated(run):
    """A run whose temperature is such that it can be seen."""
    path = run / "calibration.json"
    replace(FittedTemperature.read(path), temperature=300.0).write(path)
    return run


def figures(run, pictures, split, tmp_path):
    options = ["--split", split, "--device", "cpu", "--json", tmp_path / "f.json", "--out", tmp_path / "out"]
    assert main(["evaluate", str(run), "--data", str(pictures), *map(str, options)]) == 0
    return json.loads((tmp_path / "f.json").read_text())


def calibrate(run, pictures, *options):
    return main(["calibrate", str(run), "--data", str(pictures), "--device", "cpu", *options])


def test_a_temperature_is_kept_beside_the_weights_and_nothing_else_is_written(run, pictures, capsys):
    (run / "calibration.json").unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert calibrate(run, pictures, "--split", "test") == 0
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    written = after.pop(run / "calibration.json")
    assert after == before
    assert json.loads(written)["split"] == "test"
    assert f"wrote {run}/calibration.json" in capsys.readouterr().out


def test_a_weights_file_has_a_calibration_of_its_own(finished_run, pictures, tmp_path):
    weights = shutil.copy(finished_run / "last.safetensors", tmp_path)
    assert calibrate(weights, pictures) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"last.safetensors", "last.calibration.json"}
    assert checkpoint.load(weights).calibration.weights == checkpoint.load(weights).digest


def test_a_dedicated_classifier_has_a_temperature_and_no_typical_score(classifier_run, pictures, tmp_path, capsys):
    run = shutil.copytree(classifier_run, tmp_path / "run")
    assert calibrate(run, pictures) == 0
    fitted = checkpoint.load_any(run).calibration
    assert fitted.typical is None
    assert "typical" not in capsys.readouterr().out


def test_evaluate_uses_the_temperature_and_says_where_it_is_from(calibrated, pictures, tmp_path):
    found = figures(calibrated, pictures, "test", tmp_path)["calibrated"]
    assert (found["temperature"], found["source"]) == (300.0, f"fitted on {pictures}, validation")
    _, measurement = experiment.evaluate(calibrated, str(pictures), "test", device="cpu")
    posterior = (measurement.log_prob / 300 + measurement.log_prior).softmax(dim=1)
    truth = posterior.gather(1, measurement.split.labels[:, None])
    assert found["nll"] == pytest.approx(-truth.log().mean().item())


def test_on_the_images_it_was_fitted_on_a_temperature_is_cross_fitted(calibrated, pictures, tmp_path):
    found = figures(calibrated, pictures, "validation", tmp_path)["calibrated"]
    assert found["source"] == "cross-fitted on these images"


def test_classify_uses_the_temperature(calibrated, pictures, tmp_path):
    out = tmp_path / "classes.csv"
    main(["classify", str(calibrated), str(pictures / "test/dog"), "--out", str(out), "--device", "cpu"])
    with out.open(newline="") as file:
        for row in csv.DictReader(file):
            log_prob = torch.tensor([float(row[f"log p(x | {name})"]) for name in CLASSES])
            posterior = [float(row[f"p({name} | x)"]) for name in CLASSES]
            assert posterior == pytest.approx((log_prob / 300).softmax(dim=0).tolist(), abs=1e-4)  # a uniform prior


def test_a_temperature_of_other_weights_is_not_used_and_that_is_said(calibrated, pictures, tmp_path, capsys):
    trained = checkpoint.load(calibrated)
    with torch.no_grad():
        trained.network.to_params.bias += 0.01
    checkpoint.save(trained, calibrated / "best.safetensors")
    found = figures(calibrated, pictures, "test", tmp_path)["calibrated"]
    assert found["source"] == "cross-fitted on these images"
    assert "fitted to others and is not used; run `pixelbayes calibrate`" in capsys.readouterr().out
    assert calibrate(calibrated, pictures) == 0
    assert "validation" in figures(calibrated, pictures, "test", tmp_path)["calibrated"]["source"]
