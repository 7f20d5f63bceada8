"""Training from config to results, and resuming bit for bit."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from runs import CLASSES, TINY, tiny_images, train

from pixelbayes import experiments
from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main
from pixelbayes.data import DataConfig, load_data
from pixelbayes.evaluation.history import read_history
from pixelbayes.experiments.train import MASKS, learns_without_labels
from pixelbayes.inference import BayesClassifier, score
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.training import TrainingConfig
from pixelbayes.utils.randomness import permutation

SHARED = Path(__file__).parents[3] / "shared"


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# train


@pytest.mark.usefixtures("without_plots")
def test_a_run_can_end_with_the_quality_of_its_samples_from_images_decoded_once(
    pictures, tmp_path, monkeypatch, quick_recipe, decodings, capsys
):
    monkeypatch.setenv("PIXELBAYES_CACHE", str(tmp_path / "cache"))  # the classifier of the features is trained too
    assert train(pictures, tmp_path / "run", "--epochs", 1, "--samples", 2, "--fid-every", 1, "--fid-samples", 2) == 0
    assert len(decodings) == 1
    assert "class agreement" in capsys.readouterr().out
    folder = tmp_path / "run" / "evaluation" / "pictures-validation"
    assert json.loads((folder / "quality.json").read_text())["n"] == 2 * len(CLASSES)
    assert "KID" in (tmp_path / "run" / "index.html").read_text()


def test_a_negative_number_of_samples_is_an_error_before_anything_is_trained(pictures, tmp_path, capsys):
    assert train(pictures, tmp_path / "run", "--samples", -1) == 2
    assert "samples is -1, expected 0 or more" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_records_whether_it_trains_without_labels(finished_run, guidable_run):
    assert checkpoint.load(finished_run).provenance.without_labels is False
    data = tiny_images()
    train = data.split("train")
    partly_unlabelled = replace(data, splits=data.splits | {"train": replace(train, labels=train.labels - 1)})
    for changes, images, expected in (
        ({}, data, False),
        ({"label_dropout": 0.1}, data, True),
        ({}, partly_unlabelled, True),
        ({"classification_weight": 1.0}, partly_unlabelled, False),  # it scores them under every label instead
        ({"init_from": str(guidable_run)}, data, True),
        ({"init_from": str(finished_run)}, data, False),
    ):
        config = experiments.ExperimentConfig(training=TrainingConfig(**changes))
        assert learns_without_labels(config, images) is expected, changes


@pytest.mark.usefixtures("without_plots")
def test_classes_of_one_or_two_images_are_trained_and_named(pictures, tmp_path, capsys):
    for name, count in {"cat": 4, "dog": 2, "owl": 1}.items():
        for image in sorted((pictures / "train" / name).iterdir())[:count]:
            (tmp_path / "few" / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(image, tmp_path / "few" / name)
    run = tmp_path / "run"
    assert train(tmp_path / "few", run, "--epochs", 1, "--eval-split", "test", "--monitor", "accuracy") == 0
    assert "with one or two images, only in train: dog, owl\n" in capsys.readouterr().err
    assert checkpoint.load(run).class_names == CLASSES
    assert main(["calibrate", str(run), "--data", str(tmp_path / "few"), "--split", "train", "--device", "cpu"]) == 0


@pytest.mark.usefixtures("without_plots")
def test_a_network_with_views_is_scored_in_all_of_them(pictures, tmp_path):
    assert train(pictures, tmp_path / "run", "--epochs", 1, "--views", 4) == 0
    for name in ("calibration.json", "metrics.json"):
        found = json.loads((tmp_path / "run" / name).read_text())
        assert (found["views"], found["combine"]) == (4, "product")


@pytest.mark.usefixtures("without_plots")
def test_a_network_trained_with_context_dropout_is_scored_with_masks(pictures, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(pictures, run, "--epochs", 1, "--context-dropout", 0.5, "--context-patch", 2) == 0
    for name in ("calibration.json", "metrics.json"):
        found = json.loads((run / name).read_text())
        assert (found["views"], found["masks"], found["combine"]) == (1, MASKS, "product")
    for text in (capsys.readouterr().out, (run / "index.html").read_text()):
        assert f"{MASKS} masks, combined as a product" in text


def test_a_run_folder_has_these_files(finished_run):
    files = {path.relative_to(finished_run).as_posix() for path in finished_run.rglob("*") if path.is_file()}
    assert files == {
        *("config.yaml", "data.json", "history.csv", "index.html", "resume.ckpt"),
        *("best.safetensors", "last.safetensors", "calibration.json"),
        *("metrics.json", "metrics.csv", "predictions.csv", "about.json"),
        *(
            f"figures/{name}.{suffix}"
            for name in (
                *("confusion", "cosines", "curves", "explanations", "posteriors"),
                *("reliability", "risk_coverage", "samples"),
            )
            for suffix in ("png", "svg")
        ),
        *(f"samples/epoch-000{epoch}.png" for epoch in (2, 4)),
    }


def test_metrics_json_and_the_row_of_metrics_csv_have_the_same_values(finished_run):
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert metrics["n"] == 12
    assert 0 <= metrics["accuracy_interval"][0] <= metrics["accuracy"] <= metrics["accuracy_interval"][1] <= 1
    assert 0 <= metrics["macro_f1"] <= 1
    assert 0 < metrics["bits_per_dim"] < 8
    (row,) = read_csv(finished_run / "metrics.csv")
    for name in ("accuracy", "macro_f1", "bits_per_dim", "n", "split", "levels", "resize", "epoch"):
        assert row[name] == str(metrics[name])


def test_predictions_have_a_row_with_label_and_predicted_class_per_image(finished_run):
    rows = read_csv(finished_run / "predictions.csv")
    assert [row["image"] for row in rows[:2]] == ["validation/cat/00.png", "validation/cat/01.png"]
    assert [row["label"] for row in rows] == [name for name in CLASSES for _ in range(4)]
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert right / 12 == json.loads((finished_run / "metrics.json").read_text())["accuracy"]


def test_the_history_has_one_row_per_epoch(finished_run):
    assert [row["epoch"] for row in read_history(finished_run / "history.csv")] == [1, 2, 3, 4]


def test_a_loaded_network_has_the_measured_nll(finished_run, pictures):
    trained = checkpoint.load(finished_run)
    split = load_data(DataConfig(source=str(pictures), levels=8)).split("validation")
    log_prob = score(BayesClassifier(trained.network, trained.log_prior).log_prob, split.pixels, levels=8)
    nll = -log_prob.gather(1, split.labels[:, None])
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert bits_per_dim(nll, 3 * 6 * 8).mean().item() == pytest.approx(metrics["bits_per_dim"], rel=1e-6)  # float32
    best = read_history(finished_run / "history.csv")[trained.provenance.epoch - 1]
    assert metrics["bits_per_dim"] == pytest.approx(best["val/bits_per_dim"], rel=1e-5)


def test_a_part_of_the_clean_training_images_is_measured_too(finished_run, pictures):
    trained, measurement = experiments.measure(finished_run, str(pictures), "train", device="cpu")
    labels = measurement.split.labels
    own = bits_per_dim(
        -measurement.log_prob.gather(1, labels[:, None]).squeeze(1), trained.network.config.image_shape.dims
    )
    found = json.loads((finished_run / "metrics.json").read_text())["training"]
    some = permutation(0, "seen", 0, len(labels))[:12]  # as many as there are validation images
    assert found["n"] == 12 < len(labels)
    assert found["accuracy"] == pytest.approx((measurement.predicted == labels)[some].double().mean().item())
    assert found["bits_per_dim"] == pytest.approx(own[some].mean().item(), rel=1e-6)
    about = json.loads((finished_run / "about.json").read_text())
    assert about["facts"]["clean training images"].endswith(f"{found['bits_per_dim']:.4f} bits per dimension, n = 12")


def test_the_results_are_a_function_of_the_config(finished_run, pictures, tmp_path):
    assert train(pictures, tmp_path / "same") == 0
    assert results(tmp_path / "same") == results(finished_run)


@pytest.mark.usefixtures("without_plots")
def test_an_unconditional_network_trains_through_the_same_path(pictures, tmp_path):
    assert train(pictures, tmp_path, "--fusion", "none", "--epochs", 1) == 0
    assert checkpoint.load(tmp_path).network.config.fusion == "none"


@pytest.mark.usefixtures("without_plots")
def test_a_run_can_be_measured_on_the_test_split(pictures, tmp_path):
    assert train(pictures, tmp_path, "--epochs", 1, "--fusion", "input-add", "--eval-split", "test") == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["split"] == "test"
    assert read_csv(tmp_path / "predictions.csv")[0]["image"] == "test/cat/00.png"


# resume


def results(run):
    """All results of a run, except times."""
    weights = [safetensors.torch.load_file(run / f"{name}.safetensors") for name in ("best", "last")]
    bits = [{name: tensor.numpy().tobytes() for name, tensor in each.items()} for each in weights]
    rows = [{**row, "seconds": None, "images_per_second": None} for row in read_history(run / "history.csv")]
    files = ("predictions.csv", "samples/epoch-0004.png", "figures/samples.png")
    metrics = json.loads((run / "metrics.json").read_text()) if (run / "metrics.json").exists() else {}
    return (
        bits,
        rows,
        metrics | {"images_per_second": None},
        *((run / name).read_bytes() for name in files if (run / name).exists()),
    )


SIGNALLED = """
import os, sys
from pixelbayes.training.module import TrainingModule
step, number, place = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
work, sent = getattr(TrainingModule, place), []
def signalled(module, *inputs):
    result = work(module, *inputs)
    if module.global_step == step and not sent:
        sent.append(os.kill(os.getpid(), number))
    return result
setattr(TrainingModule, place, signalled)
from pixelbayes.cli import main
sys.exit(main(sys.argv[4:]))
"""


def in_a_process(*command):
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(
        [sys.executable, *map(str, command)], env=os.environ | threads, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "place", "step", "saved"),  # 5 steps per epoch
    [
        (signal.SIGKILL, "training_step", 7, 7),  # in the middle of an epoch, with its last step saved
        (signal.SIGKILL, "training_step", 5, 5),  # in the first step of an epoch, with the previous epoch saved
        (signal.SIGKILL, "validation_step", 10, 9),  # the last step of the epoch is repeated
        (signal.SIGINT, "training_step", 7, 8),
        (signal.SIGTERM, "validation_step", 10, 10),
    ],
)
def test_an_interrupted_run_resumes_to_the_same_bits(
    number, place, step, saved, pictures, finished_run, tmp_path, capsys
):
    run = tmp_path / "run"
    options = ("train", "--data", pictures, "--out", run, *TINY.split())
    ended = in_a_process("-c", SIGNALLED, step, int(number), place, *options)
    if number == signal.SIGKILL:
        assert ended.returncode == -signal.SIGKILL
    else:
        assert ended.returncode == 128 + number
        message = f"pixelbayes: training stopped; resume it with `pixelbayes train --out {run} --resume`"
        assert ended.stderr.splitlines()[-1] == message
        assert "Traceback" not in ended.stderr
    assert torch.load(run / "resume.ckpt", weights_only=False)["global_step"] == saved
    assert main(["train", "--out", str(run), "--resume"]) == 0
    assert results(run) == results(finished_run)


@pytest.mark.slow
def test_a_run_whose_images_have_moved_goes_on_where_they_are_now(finished_run, pictures, tmp_path, capsys):
    run = shutil.copytree(finished_run, tmp_path / "run")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(pictures), str(tmp_path / "before")))
    assert main(["train", "--out", str(run), "--resume"]) == 2
    assert f"if the images of {run} have moved, give their new place with --data" in capsys.readouterr().err
    assert main(["train", "--out", str(run), "--resume", "--data", str(pictures)]) == 0
    assert f"data.source was {tmp_path}/before and is {pictures}; the run goes on" in capsys.readouterr().err
    other = shutil.copytree(pictures, tmp_path / "other")
    shutil.copy(other / "train/cat/00.png", other / "train/cat/01.png")
    assert main(["train", "--out", str(run), "--resume", "--data", str(other)]) == 2
    assert "the images or labels have changed" in capsys.readouterr().err
    assert str(pictures) in config.read_text()


def test_another_process_resumes_a_run_to_the_same_bits(pictures, finished_run, tmp_path):
    run = tmp_path / "run"
    options = ("train", "--data", pictures, "--out", run, *TINY.split())
    assert in_a_process("-c", SIGNALLED, 13, int(signal.SIGKILL), "training_step", *options).returncode == -9
    ended = in_a_process("-m", "pixelbayes", "train", f"--out={run}", "--resume")
    assert ended.returncode == 0, ended.stderr
    assert "Warning" not in ended.stderr
    assert results(run) == results(finished_run)


def test_a_finished_run_can_be_measured_again(finished_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "metrics.json").unlink()
    assert main(["train", "--out", str(run), "--resume"]) == 0
    assert results(run) == results(finished_run)


# the course's data and network


@pytest.mark.skipif(not (SHARED / "data/cpen455").is_dir(), reason=f"no {SHARED}/data/cpen455 here")
def test_the_network_of_the_course_is_imported_and_measured_on_its_data(tmp_path):
    data = SHARED / "data/cpen455"
    names = ("cheeseburger", "giant panda", "koala", "pizza")
    network = SHARED / "reference/input_add_conditional_pixelcnn.pth"
    assert main(["import", str(network), "--out", str(tmp_path / "run"), "--class-names", *names]) == 0
    for split in ("validation", "test"):
        rows = (data / f"{split}.csv").read_text().splitlines()[:12]
        (tmp_path / f"{split}.csv").write_text("".join(f"{data}/{row}\n" for row in rows))
    trained, known = experiments.measure(tmp_path / "run", f"csv:{tmp_path}", "validation", device="cpu")
    assert trained.class_names == names
    assert known.classification.accuracy >= 0.5  # 0.76 of all 519
    assert known.bits_per_dim == pytest.approx(4.76, abs=0.6)
    _, unknown = experiments.measure(tmp_path / "run", f"csv:{tmp_path}", "test", device="cpu")
    assert unknown.classification is None
    assert unknown.bits_per_dim == pytest.approx(4.72, abs=0.6)
