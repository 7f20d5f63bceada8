"""`evaluate`, from a run and images to a folder."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from PIL import Image
from runs import CLASSES, train, write_pictures

from pixelbayes import experiments as experiment
from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main
from pixelbayes.data import DataConfig, load_data
from pixelbayes.evaluation.measure import measure
from pixelbayes.experiments import sample_quality as quality
from pixelbayes.metrics.ood import auroc, ood_scores
from pixelbayes.report.results import FORMATS, RESULTS


def evaluate(run, source, *options):
    """`pixelbayes evaluate`; returns the exit status."""
    return main(["evaluate", str(run), "--data", str(source), "--device", "cpu", *map(str, options)])


def read(path):
    """A JSON file, but for what a clock has said."""
    return json.loads(path.read_text()) | {"images_per_second": None}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def files(folder):
    """Every file with its bytes and the time it was written."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


# the folder


def test_other_data_of_the_same_name_does_not_take_its_place(run, pictures, tmp_path):
    other = shutil.copytree(pictures, tmp_path / "other" / pictures.name)
    for source in (pictures, other, pictures, other):
        assert evaluate(run, source, "--split", "test") == 0
    folders = {path.name: read(path / "metrics.json")["data"] for path in (run / "evaluation").iterdir()}
    assert folders == {"pictures-test": str(pictures), "pictures-test-2": str(other)}


def test_an_evaluation_stands_in_the_runs_folder_and_leaves_all_else_but_the_runs_page_as_it_was(run, pictures):
    before = files(run)
    assert evaluate(run, pictures, "--split", "test") == 0
    after = files(run)
    assert {name for name in before if after[name] != before[name]} == {"index.html"}
    new = {name.removeprefix("evaluation/pictures-test/") for name in set(after) - set(before)}
    figures = {name for name in new if name.startswith("figures/")}
    assert new - figures == set(RESULTS) - {"quality.json"}
    assert {name.partition(".")[0] for name in figures} >= {"figures/confusion", "figures/reliability"}
    assert all(name.replace(".svg", suffix) in figures for name in figures for suffix in FORMATS)


def test_the_runs_own_page_shows_its_evaluations(run, pictures):
    assert "pictures-test" not in (run / "index.html").read_text()
    evaluate(run, pictures, "--split", "test")
    assert "pictures-test" in (run / "index.html").read_text()


def test_the_evaluation_of_a_weights_file_stands_under_runs(finished_run, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = shutil.copy(finished_run / "last.safetensors", tmp_path)
    assert evaluate(weights, pictures) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-evaluation")
    assert read(folder / "metrics.json")["split"] == "validation"


def test_a_later_evaluation_replaces_the_earlier_one(judged, finished_run, pictures):
    assert {path.stem for path in (judged / "figures").iterdir()} >= {"samples", "neighbours"}
    evaluate(finished_run, pictures, "--out", judged)
    assert not (judged / "quality.json").exists()
    assert not {path.stem for path in (judged / "figures").iterdir()} & {"samples", "neighbours"}
    assert len(samples_in(judged)) == 9  # what took long to draw stays


def test_a_submission_has_the_files_name_and_the_number_of_its_class(finished_run, pictures, tmp_path):
    for label, name in enumerate(CLASSES):
        (tmp_path / "data/test").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/train" / name).mkdir(parents=True)
        shutil.copy(pictures / "test" / name / "00.png", tmp_path / f"data/test/{2 - label}.png")
        shutil.copy(pictures / "train" / name / "00.png", tmp_path / "data/train" / name)
    form, metrics = tmp_path / "form.csv", tmp_path / "metrics.json"
    options = ("--split", "test", "--submission", form, "--json", metrics, "--out", tmp_path / "out")
    assert evaluate(finished_run, tmp_path / "data", *options) == 0
    assert rows(form) == [["id", "label"], ["0.png", "2"], ["1.png", "1"], ["2.png", "0"]]
    assert read(metrics)["accuracy"] is None  # images of a test split that lie in no class folder have no label


def test_files_of_one_name_keep_their_folders_in_a_submission(finished_run, pictures, tmp_path):
    form = tmp_path / "form.csv"
    evaluate(finished_run, pictures, "--submission", form, "--out", tmp_path / "out")
    assert len({name for name, _ in rows(form)}) == 1 + 12


def test_a_dedicated_classifier_can_be_evaluated_too(classifier_run, pictures, tmp_path):
    assert evaluate(classifier_run, pictures, "--split", "test", "--out", tmp_path) == 0
    found = read(tmp_path / "metrics.json")
    assert (found["n"], found["bits_per_dim"]) == (12, None)
    assert (tmp_path / "index.html").is_file()


# samples


@pytest.fixture(scope="module")
def judge(finished_run, classifier_run, pictures):
    """Evaluates with samples, by a classifier that is there already."""

    def run(out, *options, samples=3):
        chosen = ("--samples", samples, "--classifier", classifier_run)
        return evaluate(finished_run, pictures, "--out", out, *chosen, *options)

    return run


@pytest.fixture(scope="module")
def finished(judge, tmp_path_factory):
    """An evaluation with samples; to be read, not changed."""
    folder = tmp_path_factory.mktemp("evaluation")
    assert judge(folder) == 0
    return folder


@pytest.fixture
def judged(finished, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(finished, tmp_path / "judged")


def samples_in(folder):
    return {name: value for name, value in files(folder / "samples").items() if name.endswith(".png")}


def outcome(folder):
    """All that an evaluation has found, but for what a clock has said."""
    pixels = {name: content for name, (content, _) in samples_in(folder).items()}
    return read(folder / "metrics.json"), read(folder / "quality.json"), rows(folder / "predictions.csv"), pixels


def test_figures_of_samples_are_of_all_that_were_drawn_and_say_what_of(finished, pictures):
    found = read(finished / "quality.json")
    assert set(samples_in(finished)) == {f"{name}-000{index}.png" for name in CLASSES for index in range(3)}
    assert (found["n"], found["n_reference"], list(found["per_class"])) == (9, 12, list(CLASSES))
    assert found["reference"] == f"{pictures}, validation, 6 x 8"
    assert found["fid"] >= 0
    assert found["class_agreement"]["classifier"].startswith(found["extractor"].removeprefix("domain-"))
    assert found["memorization"]["pixels"]["held_out_median"] > 0


def test_samples_of_a_folder_give_the_figures_of_the_samples_drawn(judge, finished, tmp_path, capsys):
    assert judge(tmp_path, samples=finished / "samples") == 0
    assert read(tmp_path / "quality.json") == read(finished / "quality.json")
    assert not (tmp_path / "samples").exists()
    assert "class agreement" in capsys.readouterr().out


def test_an_evaluation_that_was_stopped_draws_only_what_is_missing(judge, finished, judged, monkeypatch):
    for name in ("samples/dog-0001.png", "samples/owl-0002.png", "metrics.json", "quality.json"):
        (judged / name).unlink()
    kept = samples_in(judged)
    drawn, draw = [], quality.sample_images

    def counted(network, label, index, **how):
        drawn.extend(zip(label.tolist(), index.tolist(), strict=True))
        return draw(network, label, index, **how)

    monkeypatch.setattr(quality, "sample_images", counted)
    assert judge(judged) == 0
    assert drawn == [(1, 1), (2, 2)]
    assert kept.items() <= samples_in(judged).items()
    assert outcome(judged) == outcome(finished)


def test_without_labels_there_are_figures_of_all_samples_and_of_each_class_a_reason(judge, pictures, tmp_path, capsys):
    rows = "".join(f"{pictures}/{split}/{name}/00.png,{{}}\n" for split in ("train", "test") for name in CLASSES)
    (tmp_path / "train.csv").write_text(rows.format(*CLASSES, *CLASSES))
    (tmp_path / "test.csv").write_text(rows.format(*[-1] * 6))
    options = ("--data", f"csv:{tmp_path}", "--split", "test")  # the last of an option that stands twice counts
    assert judge(tmp_path / "out", *options, samples=2) == 0
    found = read(tmp_path / "out/quality.json")
    assert (found["n"], found["n_reference"]) == (6, 6)
    assert found["fid"] > 0
    assert [(each["fid"], each["n_reference"]) for each in found["per_class"].values()] == [(None, 0)] * 3
    reasons = {each["reason"] for each in found["per_class"].values()}
    assert len(reasons) == 1
    assert all(reasons)
    assert "None" not in capsys.readouterr().out


def test_one_sample_of_each_class_is_measured_as_far_as_it_can_be(judge, tmp_path):
    assert judge(tmp_path, samples=1) == 0
    found = read(tmp_path / "quality.json")
    assert found["fid"] > 0
    assert all(each["fid"] is None and each["reason"] for each in found["per_class"].values())


KILLED = """
import os, signal, sys
from pixelbayes.experiment import quality
draw, calls = quality.sample_images, []
def killed(*inputs, **how):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(*inputs, **how)
quality.sample_images = killed
from pixelbayes.cli import main
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_an_evaluation_that_was_killed_keeps_its_samples_and_comes_to_the_same(
    judge, finished_run, classifier_run, pictures, tmp_path
):
    out = tmp_path / "killed"
    command = ["evaluate", finished_run, "--data", pictures, "--device", "cpu", "--out", out]
    command += ["--samples", 40, "--classifier", classifier_run]
    ended = subprocess.run([sys.executable, "-c", KILLED, *map(str, command)], env=os.environ, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    kept = samples_in(out)
    assert len(kept) == 100  # of 120: a batch
    assert judge(out, samples=40) == 0
    assert kept.items() <= samples_in(out).items()
    assert judge(tmp_path / "at-once", samples=40) == 0
    assert outcome(out) == outcome(tmp_path / "at-once")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--seed", 1), "seed 0 there, 1 now"),
        (("--temperature", 0.5), "temperature 1.0 there, 0.5 now"),
        (("--guidance", 2), "guidance 0.0 there, 2.0 now"),
    ],
)
def test_other_samples_in_the_folder_are_refused_and_nothing_is_changed(judge, judged, capsys, options, what):
    before = files(judged)
    assert judge(judged, *options) == 2
    said = f"pixelbayes: {judged}/samples: holds other samples ({what}); name another, or --overwrite\n"
    assert capsys.readouterr().err == said
    assert files(judged) == before


def test_other_samples_give_way_to_overwrite(judge, finished, judged):
    assert judge(judged, "--seed", 1, "--overwrite", samples=2) == 0
    assert len(samples_in(judged)) == 6
    before = {content for content, _ in samples_in(finished).values()}
    assert not before & {content for content, _ in samples_in(judged).values()}


def test_samples_of_other_weights_are_refused(judged, finished_run, classifier_run, pictures, tmp_path, capsys):
    trained = checkpoint.load(finished_run)
    with torch.no_grad():
        trained.network.to_params.bias += 1
    checkpoint.save(trained, tmp_path / "other.safetensors")
    options = ("--out", judged, "--samples", 3, "--classifier", classifier_run)
    assert evaluate(tmp_path / "other.safetensors", pictures, *options) == 2
    assert f"weights {checkpoint.load(finished_run).digest} there, {trained.digest} now" in capsys.readouterr().err


# the data


def undivided(folder):
    """`folder/class/NN.png`, without splits."""
    return write_pictures(folder, counts={"train": 20}) / "train"


def test_what_was_held_out_of_training_is_what_is_measured_wherever_the_images_lie_now(tmp_path):
    source, run = undivided(tmp_path / "data"), tmp_path / "run"
    cut = {"validation_fraction": 0.3, "test_fraction": 0.2, "split_seed": 3}
    options = [part for name, value in cut.items() for part in (f"--data.{name}", value)]
    assert train(source, run, *options, "--epochs", 1) == 0
    held_out = {name: split.names for name, split in load_data(DataConfig(source=str(source), **cut)).splits.items()}
    assert held_out["train"] != load_data(DataConfig(source=str(source))).split("train").names
    moved = shutil.copytree(source, tmp_path / "moved")
    for where in (source, f"folder:{source}", moved):
        for split in ("validation", "test"):
            _, measurement = experiment.evaluate(run, str(where), split, device="cpu")
            assert not set(measurement.split.names) & set(held_out["train"])
            assert measurement.split.names == held_out[split]


def test_grey_images_of_another_size_and_of_all_levels_are_made_what_the_network_takes(
    finished_run, pictures, tmp_path
):
    grey = shutil.copytree(pictures, tmp_path / "grey")
    for path in grey.rglob("*.png"):
        Image.open(path).convert("L").resize((16, 12)).save(path)
    _, measurement = experiment.evaluate(finished_run, str(grey), "test", device="cpu")
    assert measurement.split.pixels.shape == (12, 3, 6, 8)
    assert measurement.split.pixels.max() < 8
    assert measurement.classification.accuracy > 0.5


# outliers


def test_images_of_other_classes_are_set_against_those_of_the_split(finished_run, pictures, tmp_path):
    others = write_pictures(tmp_path / "others", classes=("car", "bus"))
    for path in others.rglob("*.png"):
        Image.open(path).rotate(180).save(path)
    out = tmp_path / "out"
    assert evaluate(finished_run, pictures, "--split", "test", "--ood-data", others, "--out", out) == 0
    found = read(out / "metrics.json")["ood"]
    assert (found["data"], found["split"]) == (str(others), "test")
    trained = checkpoint.load(finished_run)
    scores = []
    for source in (pictures, others):
        split = load_data(DataConfig(source=str(source), levels=8)).split("test").unlabelled()
        bits = trained.calibration.typical.bits_per_dim
        scores.append(ood_scores(measure(trained, split).log_marginal, split.pixels, 8, bits))
    near, far = scores
    for name, separation in found["scores"].items():
        assert separation["auroc"] == auroc(near[name], far[name]).auroc
        assert (separation["n_inside"], separation["n_outside"]) == (12, 8)
    assert list(found["scores"]) == list(near)
    assert all((out / f"figures/separation{suffix}").is_file() for suffix in FORMATS)
