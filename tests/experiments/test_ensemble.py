"""Several runs as one network, from the command line."""

import json
import shutil

import pytest
import torch
from runs import train

from pixelbayes import experiments as experiment
from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main
from pixelbayes.data import load_data
from pixelbayes.evaluation.measure import measure
from pixelbayes.experiments.measure import data_for


@pytest.fixture(scope="module")
def second_run(finished_run, pictures, tmp_path_factory):
    """A run that began from the weights of the first; to be read, not changed."""
    run = tmp_path_factory.mktemp("runs") / "second"
    assert train(pictures, run, "--init-from", finished_run, "--epochs", 1, "--seed", 1) == 0
    return run


def evaluate(run, source, *options):
    """`pixelbayes evaluate`; returns the exit status."""
    return main(["evaluate", str(run), "--data", str(source), "--device", "cpu", *map(str, options)])


def average(*options):
    """`pixelbayes average`; returns the exit status."""
    return main(["average", *map(str, options)])


def read(path):
    return json.loads(path.read_text())


# ensembles


def test_an_ensemble_stands_beside_the_evaluation_of_the_run_alone_and_names_its_networks(
    run, second_run, pictures, capsys
):
    assert evaluate(run, pictures, "--split", "test") == 0
    alone = read(run / "evaluation/pictures-test/metrics.json")
    capsys.readouterr()
    assert evaluate(run, pictures, "--split", "test", "--ensemble", second_run) == 0
    said = capsys.readouterr().out
    assert read(run / "evaluation/pictures-test/metrics.json") == alone
    folder = run / "evaluation/pictures-test-with-second"
    found, networks = read(folder / "metrics.json"), [checkpoint.load(each) for each in (run, second_run)]
    assert [(each["run"], each["weights"]) for each in found["ensemble"]] == [
        (str(each), network.digest) for each, network in zip((run, second_run), networks, strict=True)
    ]
    assert (found["parameters"], found["epoch"]) == (2 * alone["parameters"], None)
    assert found["calibrated"]["source"] == "cross-fitted on these images"
    about = read(folder / "about.json")
    assert about["facts"]["weights"] == ", ".join(network.digest for network in networks)
    assert about["description"].startswith("An ensemble of 2 PixelCNN++, of ")
    drawn = {path.stem for path in (folder / "figures").iterdir()}
    assert "reliability" in drawn
    assert not drawn & {"cosines", "explanations"}  # which are of one network
    assert f"{about['description']}: {run}, {second_run}; as one density\n" in said
    assert "pictures-test-with-second" in (run / "index.html").read_text()


def test_the_figures_of_an_ensemble_are_those_of_its_measurement(finished_run, second_run, pictures, tmp_path):
    options = ("--split", "test", "--ensemble", second_run, "--combine", "mean", "--out", tmp_path / "out")
    assert evaluate(finished_run, pictures, *options) == 0
    first, second = (checkpoint.load(each) for each in (finished_run, second_run))
    images = load_data(data_for(first, str(pictures))).split("test")
    direct = measure(first, images, members=[second], combine="product")
    found = read(tmp_path / "out/metrics.json")
    assert (found["bits_per_dim"], found["accuracy"]) == (direct.bits_per_dim, direct.classification.accuracy)
    trained, again = experiment.evaluate(
        finished_run, str(pictures), "test", members=[second_run], device="cpu", combine="product"
    )
    assert torch.equal(again.log_posterior, direct.log_posterior)
    assert trained.members[1].digest == second.digest


def test_of_a_stale_temperature_nothing_is_said_since_none_is_used(run, second_run, pictures, tmp_path, capsys):
    shutil.copy(run / "last.safetensors", run / "best.safetensors")
    calibration = read(run / "calibration.json") | {"weights": "of others"}
    (run / "calibration.json").write_text(json.dumps(calibration))
    assert evaluate(run, pictures, "--out", tmp_path / "alone") == 0
    assert "fitted to others" in capsys.readouterr().out
    assert evaluate(run, pictures, "--ensemble", second_run, "--out", tmp_path / "both") == 0
    assert "fitted to others" not in capsys.readouterr().out


@pytest.mark.parametrize("options", [("--samples", 2), ("--ood-data", "digits")])
def test_samples_and_other_data_are_for_one_network(options, finished_run, second_run, pictures, tmp_path, capsys):
    assert evaluate(finished_run, pictures, "--ensemble", second_run, "--out", tmp_path / "out", *options) == 2
    assert "are of one network; ask for them without --ensemble" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_who_cannot_take_part_is_named(finished_run, classifier_run, second_run, pictures, tmp_path, capsys):
    shutil.copy(second_run / "best.safetensors", tmp_path)
    other = checkpoint.load(second_run)
    renamed = checkpoint.TrainedPixelCNN(
        network=other.network, class_names=("a", "b", "c"), preprocessing=other.preprocessing, prior=other.prior
    )
    checkpoint.save(renamed, tmp_path / "renamed.safetensors")
    out = ("--out", tmp_path / "out")
    for member, said in {
        classifier_run: "holds a dedicated classifier, where a PixelCNN++ is needed",
        tmp_path / "renamed.safetensors": f"differs from {finished_run} in class_names",
        tmp_path / "none": "there is no such run folder or weights file",
        finished_run: "is named twice",
    }.items():
        assert evaluate(finished_run, pictures, *out, "--ensemble", member) == 2
        error = capsys.readouterr().err
        assert str(member) in error
        assert said in error
    assert evaluate(classifier_run, pictures, *out, "--ensemble", finished_run) == 2
    assert f"{classifier_run}/best.safetensors: holds a dedicated classifier" in capsys.readouterr().err


# averages


def test_an_average_of_runs_is_a_network_like_any_other(finished_run, second_run, pictures, tmp_path, capsys):
    out = tmp_path / "new/mean.safetensors"
    assert average(finished_run, second_run, "--out", out) == 0
    said = capsys.readouterr().out
    assert f"wrote {out}, the mean of 2 networks: {finished_run}, {second_run}\n" in said
    assert f"`pixelbayes calibrate {out} --data DATA` fits its temperature" in said
    found = checkpoint.load(out)
    assert [each["weights"] for each in found.about["averaged"]] == [
        checkpoint.load(each).digest for each in (finished_run, second_run)
    ]
    assert found.about["command"].startswith("pixelbayes")
    assert main(["calibrate", str(out), "--data", str(pictures), "--device", "cpu"]) == 0
    assert evaluate(out, pictures, "--split", "test", "--out", tmp_path / "evaluation") == 0
    assert read(tmp_path / "evaluation/metrics.json")["accuracy"] > 0.5  # chance is a third


def test_epochs_of_one_run_can_be_averaged(finished_run, tmp_path):
    both = (finished_run / "best.safetensors", finished_run / "last.safetensors")
    assert average(*both, "--out", tmp_path / "mean.safetensors") == 0


def test_a_file_that_is_there_stays(finished_run, second_run, tmp_path, capsys):
    out = tmp_path / "mean.safetensors"
    out.write_text("precious")
    assert average(finished_run, second_run, "--out", out) == 2
    assert capsys.readouterr().err == f"pixelbayes: {out} exists already; give another --out\n"
    assert out.read_text() == "precious"


def test_what_cannot_be_averaged_is_said_and_nothing_written(
    finished_run, second_run, classifier_run, tmp_path, capsys
):
    out = tmp_path / "mean.safetensors"
    for runs, said in {
        (finished_run,): "an average is of two networks or more, and 1 came",
        (finished_run, finished_run): f"{finished_run} is named twice",
        (finished_run, classifier_run): "holds a dedicated classifier, where a PixelCNN++ is needed",
        (
            finished_run,
            "digits",
        ): f"digits: differs from {finished_run} in class_names, preprocessing.image_shape.size, ",
    }.items():
        assert average(*runs, "--out", out) == 2
        assert said in capsys.readouterr().err
    assert average(finished_run, second_run, "--out", tmp_path / "mean") == 2
    assert "whose name ends in .safetensors" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
