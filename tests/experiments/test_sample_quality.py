"""`evaluate --samples`: samples of a run, and their quality."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from runs import CLASSES

from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main
from pixelbayes.evaluation.sample_folder import read_samples
from pixelbayes.experiments import acceptance, measure, sample_quality
from pixelbayes.inference.acceptance import AcceptanceRule, log_odds
from pixelbayes.models.likelihood import bits_per_dim


@pytest.fixture(scope="module")
def evaluate(finished_run, classifier_run, pictures):
    """Evaluates samples with a classifier that is trained already; returns the exit status."""

    def run(out, *options, network=finished_run, samples=3):
        command = ["evaluate", network, "--data", pictures, "--device", "cpu", "--out", out]
        return main([*map(str, command), "--samples", str(samples), *map(str, options), *classifier])

    classifier = ["--classifier", str(classifier_run)]
    return run


@pytest.fixture(scope="module")
def finished(evaluate, tmp_path_factory):
    """The folder of an evaluation with samples; read-only."""
    folder = tmp_path_factory.mktemp("evaluation")
    assert evaluate(folder) == 0
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of `finished` that a test may change."""
    return shutil.copytree(finished, tmp_path / "evaluation")


def read(path):
    """A JSON file, without the speed."""
    return json.loads(path.read_text()) | {"images_per_second": None}


def files(folder):
    """Every file with its bytes and its time of modification."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def samples_in(folder):
    """The bytes of every sample."""
    return {path.name: path.read_bytes() for path in (folder / "samples").glob("*.png")}


def results(folder):
    with (folder / "predictions.csv").open(newline="") as file:
        predictions = list(csv.reader(file))
    return read(folder / "metrics.json"), read(folder / "quality.json"), predictions, samples_in(folder)


def test_the_quality_is_that_of_all_samples_and_names_what_it_refers_to(finished, pictures):
    found = read(finished / "quality.json")
    assert set(samples_in(finished)) == {f"{name}-000{index}.png" for name in CLASSES for index in range(3)}
    assert (found["n"], found["n_reference"], list(found["per_class"])) == (9, 12, list(CLASSES))
    assert found["reference"] == f"{pictures}, validation, 6 x 8"
    assert found["fid"] >= 0
    assert found["class_agreement"]["classifier"].startswith(found["extractor"].removeprefix("classifier-"))
    assert found["memorization"]["pixels"]["held_out_median"] > 0


@pytest.mark.usefixtures("without_plots")
def test_the_samples_of_a_folder_have_the_quality_of_the_drawn_ones(evaluate, finished, tmp_path, capsys):
    assert evaluate(tmp_path, samples=finished / "samples") == 0
    assert read(tmp_path / "quality.json") == read(finished / "quality.json")
    assert not (tmp_path / "samples").exists()
    assert "class agreement" in capsys.readouterr().out


@pytest.mark.usefixtures("without_plots")
def test_an_interrupted_evaluation_draws_only_the_missing_samples(evaluate, finished, folder, monkeypatch):
    for name in ("samples/dog-0001.png", "samples/owl-0002.png", "metrics.json", "quality.json"):
        (folder / name).unlink()
    present = samples_in(folder)
    drawn, draw = [], sample_quality.sample_images

    def counted(network, label, index, config):
        drawn.extend(zip(label.tolist(), index.tolist(), strict=True))
        return draw(network, label, index, config)

    monkeypatch.setattr(sample_quality, "sample_images", counted)
    assert evaluate(folder) == 0
    assert drawn == [(1, 1), (2, 2)]
    assert present.items() <= samples_in(folder).items()
    assert results(folder) == results(finished)


def test_a_later_evaluation_replaces_the_results_but_not_the_samples(folder, finished_run, pictures):
    assert {path.stem for path in (folder / "figures").iterdir()} >= {"samples", "neighbours"}
    assert main(["evaluate", str(finished_run), "--data", str(pictures), "--device", "cpu", "--out", str(folder)]) == 0
    assert not (folder / "quality.json").exists()
    assert not {path.stem for path in (folder / "figures").iterdir()} & {"samples", "neighbours"}
    assert len(samples_in(folder)) == 9


@pytest.mark.usefixtures("without_plots")
def test_images_without_labels_give_a_distance_of_all_samples_and_a_reason_for_each_class(
    evaluate, pictures, tmp_path, capsys
):
    rows = "".join(f"{pictures}/{split}/{name}/00.png,{{}}\n" for split in ("train", "test") for name in CLASSES)
    (tmp_path / "train.csv").write_text(rows.format(*CLASSES, *CLASSES))
    (tmp_path / "test.csv").write_text(rows.format(*[-1] * 6))
    options = ("--data", f"csv:{tmp_path}", "--split", "test")  # the last --data counts
    assert evaluate(tmp_path / "out", *options, samples=2) == 0
    found = read(tmp_path / "out/quality.json")
    assert (found["n"], found["n_reference"]) == (6, 6)
    assert found["fid"] > 0
    assert [(each["fid"], each["n_reference"]) for each in found["per_class"].values()] == [(None, 0)] * 3
    assert all(each["reason"] for each in found["per_class"].values())
    assert "None" not in capsys.readouterr().out


@pytest.mark.usefixtures("without_plots")
def test_one_sample_of_each_class_has_a_distance_of_all_samples_only(evaluate, tmp_path):
    assert evaluate(tmp_path, samples=1) == 0
    found = read(tmp_path / "quality.json")
    assert found["fid"] > 0
    assert all(each["fid"] is None and each["reason"] for each in found["per_class"].values())


KILLED = """
import os, signal, sys
from pixelbayes.evaluation.sample_folder import read_samples
from pixelbayes.experiments import acceptance, measure, sample_quality
from pixelbayes.inference.acceptance import AcceptanceRule, log_odds
from pixelbayes.models.likelihood import bits_per_dim
draw, calls = sample_quality.sample_images, []
def killed(*inputs):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(*inputs)
sample_quality.sample_images = killed
from pixelbayes.cli import main
main(sys.argv[1:])
"""


@pytest.mark.usefixtures("without_plots")
@pytest.mark.slow
def test_a_killed_evaluation_keeps_its_samples_and_continues_to_the_same_results(
    evaluate, finished_run, classifier_run, pictures, tmp_path
):
    out = tmp_path / "killed"
    command = ["evaluate", finished_run, "--data", pictures, "--device", "cpu", "--out", out]
    command += ["--samples", 40, "--classifier", classifier_run]
    ended = subprocess.run([sys.executable, "-c", KILLED, *map(str, command)], env=os.environ, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    present = samples_in(out)
    assert len(present) == 100  # of 120: one batch
    assert evaluate(out, samples=40) == 0
    assert present.items() <= samples_in(out).items()
    assert evaluate(tmp_path / "at-once", samples=40) == 0
    assert results(out) == results(tmp_path / "at-once")


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (("--seed", 1), "seed is 0, now 1"),
        (("--sampling-temperature", 0.5), "temperature is 1.0, now 0.5"),
        (("--guidance", 2), "guidance is 0.0, now 2.0"),
    ],
)
def test_samples_with_other_settings_are_not_replaced(evaluate, folder, guidable_run, capsys, options, difference):
    before = files(folder)
    assert evaluate(folder, *options, network=guidable_run) == 2
    message = f"holds samples with other settings ({difference}); name another, or add --overwrite"
    assert capsys.readouterr().err == f"pixelbayes: {folder}/samples: {message}\n"
    assert files(folder) == before


@pytest.mark.usefixtures("without_plots")
def test_samples_with_other_settings_are_replaced_with_overwrite(evaluate, finished, folder):
    assert evaluate(folder, "--seed", 1, "--overwrite", samples=2) == 0
    assert len(samples_in(folder)) == 6
    assert not set(samples_in(finished).values()) & set(samples_in(folder).values())


def test_samples_of_other_weights_are_not_replaced(evaluate, folder, finished_run, second_run, capsys):
    assert evaluate(folder, network=second_run) == 2
    first, second = (checkpoint.load(each).digest for each in (finished_run, second_run))
    assert f"weights is {first}, now {second}" in capsys.readouterr().err


ACCEPT = ("--accept", 0.5, "--max-draws", 3)


def test_accepted_samples_are_measured_and_so_is_their_density(evaluate, finished_run, pictures, tmp_path, capsys):
    assert evaluate(tmp_path, *ACCEPT) == 0
    found = read(tmp_path / "quality.json")["acceptance"]
    printed = capsys.readouterr().out
    assert f"{found['accepted']} of 9 samples accepted" in " ".join(printed.split())
    assert f"{found['accepted']} of 9 samples are accepted" in (tmp_path / "index.html").read_text()
    trained = checkpoint.load(finished_run)
    rule = AcceptanceRule(
        rate=0.5,
        max_draws=3,
        threshold=tuple(found["threshold"][name] for name in CLASSES),
        acceptance=tuple(found["acceptance"][name] for name in CLASSES),
        pilot=50,
    )
    samples = read_samples(tmp_path / "samples", CLASSES, trained.preprocessing).pixels.flatten(0, 1)
    odds = log_odds(acceptance.log_posterior(trained, samples)).view(3, 3, 3)  # (of class, index, under class)
    expected = [[odds[c, i, c] >= rule.threshold[c] for i in range(3)] for c in range(3)]
    assert found["accepted"] == int(torch.tensor(expected).sum())
    _, measured = measure(finished_run, str(pictures), "validation", device="cpu")
    weight = rule.log_weight(measured.log_posterior)
    label = measured.split.labels[:, None]
    for log_prob, name in ((measured.log_prob + weight, "bits_per_dim"), (measured.log_prob, "bits_per_dim_of_draws")):
        bits = bits_per_dim(-log_prob.gather(1, label), trained.image_shape.dims).mean()
        assert found[name] == pytest.approx(float(bits), rel=1e-9)
    assert found["bits_per_dim"] != found["bits_per_dim_of_draws"]


@pytest.mark.usefixtures("without_plots")
def test_an_interrupted_evaluation_keeps_the_thresholds_of_its_samples(evaluate, tmp_path, monkeypatch):
    assert evaluate(tmp_path, *ACCEPT, "--sampling-temperature", 0.9) == 0
    before = results(tmp_path)
    assert before[1]["acceptance"]["bits_per_dim"] is None  # the draws do not follow p(x | c)
    (tmp_path / "samples/dog-0001.png").unlink()
    monkeypatch.setattr(acceptance, "fit_acceptance", None)  # pilot draws would fail
    assert evaluate(tmp_path, *ACCEPT, "--sampling-temperature", 0.9) == 0
    assert results(tmp_path) == before


def test_the_classifier_that_measures_samples_does_not_accept_them(evaluate, classifier_run, tmp_path, capsys):
    assert evaluate(tmp_path / "out", *ACCEPT, "--judge", classifier_run) == 2
    assert "the judge is the classifier that measures the samples" in capsys.readouterr().err
    assert evaluate(tmp_path / "out", *ACCEPT, samples=tmp_path) == 2
    assert "give --samples N" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
