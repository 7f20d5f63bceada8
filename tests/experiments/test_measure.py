"""`calibrate` and its effects, and out-of-distribution scores of other data."""

import csv
import json
import shutil
from dataclasses import asdict, replace

import pytest
import torch
from networks import random_images, randomised, tiny_model
from runs import CLASSES, write_pictures

from pixelbayes import experiments
from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.calibration_record import CalibrationRecord
from pixelbayes.checkpoints.trained import TrainedPixelCNN
from pixelbayes.cli import main
from pixelbayes.data import DataConfig, Split, load_data
from pixelbayes.evaluation import measure as evaluation
from pixelbayes.experiments.measure import compare_with_ood, load_data_for
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.inference import ScoringConfig
from pixelbayes.metrics.ood import auroc, fit_ood_reference, ood_scores


@pytest.fixture
def calibrated(run):
    """A run with a temperature that changes the posterior visibly."""
    path = run / "calibration.json"
    replace(CalibrationRecord.read(path), temperature=300.0).write(path)
    return run


def metrics(run, pictures, split):
    trained, measurement = experiments.measure(run, str(pictures), split, device="cpu")
    return trained, measurement, measurement.metrics()


def calibrate(run, pictures, *options):
    return main(["calibrate", str(run), "--data", str(pictures), "--device", "cpu", *options])


# calibration


def test_calibrate_writes_a_record_beside_the_weights_and_nothing_else(run, pictures, capsys):
    (run / "calibration.json").unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert calibrate(run, pictures, "--split", "test") == 0
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    written = after.pop(run / "calibration.json")
    assert after == before
    assert json.loads(written)["split"] == "test"
    output = capsys.readouterr().out
    assert f"wrote {run}/calibration.json" in output
    assert "the reference of out-of-distribution scores" in output
    assert "12 images say little about the temperature" in output


def test_prediction_sets_of_the_asked_coverage_are_shown_by_every_command(run, pictures, tmp_path, capsys):
    assert calibrate(run, pictures, "--split", "test", "--coverage", "0.75") == 0
    record = checkpoint.load(run).calibration
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"at least {record.sets.threshold:.4g}, for a coverage of 75%" in shown
    out = tmp_path / "classes.csv"
    assert main(["classify", str(run), str(pictures / "test/dog"), "--out", str(out), "--device", "cpu"]) == 0
    assert "75% set" in capsys.readouterr().out
    with out.open(newline="") as file:
        for row in csv.DictReader(file):
            posterior = {name: float(row[f"p({name} | x)"]) for name in CLASSES}
            held = [name for name, p in posterior.items() if p >= record.sets.threshold or p == max(posterior.values())]
            assert row["prediction set"] == "; ".join(held)
    _, measurement, found = metrics(run, pictures, "validation")
    sets = found["prediction_sets"]
    inside = measurement.sets.gather(1, measurement.split.labels[:, None])
    assert (sets["n"], sets["asked"], sets["coverage"]) == (12, 0.75, float(inside.double().mean()))
    assert main(["evaluate", str(run), "--data", str(pictures), "--device", "cpu", "--out", str(tmp_path / "e")]) == 0
    assert "75% asked" in " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "A set holds the class of its image with a probability of 75%" in (tmp_path / "e/index.html").read_text()
    assert calibrate(run, pictures, "--coverage", "95") == 2
    assert "coverage is 95.0, expected a number above 0 and below 1" in capsys.readouterr().err


def test_a_weights_file_has_its_own_calibration(finished_run, pictures, tmp_path):
    weights = shutil.copy(finished_run / "last.safetensors", tmp_path)
    assert calibrate(weights, pictures) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"last.safetensors", "last.calibration.json"}
    assert checkpoint.load(weights).calibration.weights == checkpoint.load(weights).digest


def test_a_dedicated_classifier_has_a_temperature_but_no_out_of_distribution_reference(
    classifier_run, pictures, tmp_path, capsys
):
    run = shutil.copytree(classifier_run, tmp_path / "run")
    assert calibrate(run, pictures) == 0
    assert checkpoint.load_any(run).calibration.ood is None
    assert "out-of-distribution" not in capsys.readouterr().out


def test_a_bundled_network_is_not_calibrated(capsys):
    assert main(["calibrate", "digits", "--data", "digits", "--device", "cpu"]) == 2
    assert "digits comes with the package and cannot be changed; calibrate a copy" in capsys.readouterr().err


def test_measurements_use_the_temperature_and_name_its_origin(calibrated, pictures):
    _, measurement, found = metrics(calibrated, pictures, "test")
    assert found["calibrated"]["temperature"] == 300.0
    assert found["calibrated"]["source"] == f"fitted on {pictures}, validation"
    posterior = (measurement.log_prob / 300 + measurement.log_prior).softmax(dim=1)
    truth = posterior.gather(1, measurement.split.labels[:, None])
    assert found["calibrated"]["nll"] == pytest.approx(-truth.log().mean().item())


def test_on_the_images_it_was_fitted_on_a_temperature_is_cross_fitted(calibrated, pictures):
    _, _, found = metrics(calibrated, pictures, "validation")
    assert found["calibrated"]["source"] == "cross-fitted on these images"


def test_classify_uses_the_temperature(calibrated, pictures, tmp_path):
    out = tmp_path / "classes.csv"
    main(["classify", str(calibrated), str(pictures / "test/dog"), "--out", str(out), "--device", "cpu"])
    with out.open(newline="") as file:
        for row in csv.DictReader(file):
            log_prob = torch.tensor([float(row[f"log p(x | {name})"]) for name in CLASSES])
            posterior = [float(row[f"p({name} | x)"]) for name in CLASSES]
            assert posterior == pytest.approx((log_prob / 300).softmax(dim=0).tolist(), abs=1e-4)  # a uniform prior


def test_a_temperature_of_other_weights_is_not_used(calibrated, pictures):
    trained = checkpoint.load(calibrated)
    with torch.no_grad():
        trained.network.to_params.bias += 0.01
    checkpoint.save(trained, calibrated / "best.safetensors")
    stale, _, found = metrics(calibrated, pictures, "test")
    assert stale.stale_calibration
    assert found["calibrated"]["source"] == "cross-fitted on these images"
    assert calibrate(calibrated, pictures) == 0
    again, _, found = metrics(calibrated, pictures, "test")
    assert not again.stale_calibration
    assert "validation" in found["calibrated"]["source"]


# data


def test_the_images_held_out_of_training_are_measured_wherever_they_are(finished_run, tmp_path):
    source = write_pictures(tmp_path / "data", counts={"train": 20}) / "train"  # folder/class/NN.png, without splits
    trained = checkpoint.load(finished_run)
    settings = {"validation_fraction": 0.3, "test_fraction": 0.2, "split_seed": 3}
    config = trained.provenance.config
    provenance = replace(trained.provenance, config={**config, "data": {**config["data"], **settings}})
    trained = replace(trained, provenance=provenance)
    splits = load_data(DataConfig(source=str(source), **settings)).splits
    assert splits["train"].names != load_data(DataConfig(source=str(source))).split("train").names
    moved = shutil.copytree(source, tmp_path / "moved")
    for where in (source, f"folder:{source}", moved):
        found = load_data_for(trained, str(where)).splits
        assert {name: split.names for name, split in found.items()} == {n: split.names for n, split in splits.items()}


# out-of-distribution data

LEVELS = 5


def untrained():
    network = randomised(tiny_model(views=2)).float()
    return TrainedPixelCNN(
        network=network,
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_shape=network.config.image_shape),
        prior=(1 / 3,) * 3,
    )


def split(count, seed, label=-1):
    pixels = random_images(count, tiny_model().config, seed=seed)
    labels = torch.arange(count) % 3 if label is None else torch.full((count,), label)
    return Split(pixels, labels, tuple(map(str, range(count))))


@pytest.mark.parametrize("views", [None, 1])
def test_other_images_are_scored_in_as_many_views_as_those_of_the_measurement(views):
    trained, images, others = untrained(), split(9, seed=1, label=None), split(7, seed=2)
    two_views = ScoringConfig(views=2)
    if views:  # the record of another number of views is not used
        other = evaluation.measure(trained, images, ScoringConfig(views=views))
        trained = replace(trained, calibration=evaluation.calibrate(trained, other, "source", "split"))
    measurement = evaluation.measure(trained, images, two_views)
    found, _ = compare_with_ood(trained, measurement, others, ("images", "others"))
    mean = fit_ood_reference(measurement.log_marginal, images.pixels, LEVELS).bits_per_dim
    scores = ood_scores(measurement.log_marginal, images.pixels, LEVELS, mean)
    marginal = evaluation.measure(trained, others, two_views).log_marginal
    other_scores = ood_scores(marginal, others.pixels, LEVELS, mean)
    assert found["scores"] == {score: asdict(auroc(scores[score], other_scores[score])) for score in scores}
