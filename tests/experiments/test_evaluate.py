"""`evaluate`, from a run and images to a folder; with one network or an ensemble."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image
from runs import CLASSES, write_pictures

from pixelbayes import experiments
from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main
from pixelbayes.data import DataConfig, load_data
from pixelbayes.evaluation.measure import measure
from pixelbayes.experiments.measure import load_trained
from pixelbayes.inference import ScoringConfig
from pixelbayes.metrics.ood import auroc, ood_scores
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.run_folder import FIGURE_FORMATS, RunFolder


def evaluate(run, source, *options):
    """`pixelbayes evaluate`; returns the exit status."""
    return main(["evaluate", str(run), "--data", str(source), "--device", "cpu", *map(str, options)])


def read(path):
    """A JSON file, without the speed."""
    return json.loads(path.read_text()) | {"images_per_second": None}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def files(folder):
    """Every file with its bytes and its time of modification."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


# the folder


def test_an_evaluation_in_the_run_folder_changes_only_the_page_of_the_run(run, pictures):
    before = files(run)
    assert "pictures-test" not in RunFolder(run).page.read_text()
    assert evaluate(run, pictures, "--split", "test") == 0
    after = files(run)
    assert {name for name in before if after[name] != before[name]} == {"index.html"}
    assert "pictures-test" in RunFolder(run).page.read_text()
    new = {name.removeprefix("evaluation/pictures-test/") for name in set(after) - set(before)}
    figures = {name for name in new if name.startswith("figures/")}
    assert new - figures == {path.name for path in RunFolder(run).results} - {"quality.json"}
    assert {name.partition(".")[0] for name in figures} >= {"figures/confusion", "figures/reliability"}
    assert all(name.replace(".svg", suffix) in figures for name in figures for suffix in FIGURE_FORMATS)


def test_the_folder_of_an_evaluation_is_named_by_data_split_and_members(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = experiments.evaluation_folder
    assert folder(run, "folder:some/pictures", "test") == run / "evaluation/pictures-test"
    assert folder(run, "pictures", "test", ["runs/b", "c"]) == run / "evaluation/pictures-test-with-b-c"
    weights = folder(run / "last.safetensors", "pictures", "test")
    assert weights.parent.name == "runs"
    assert weights.name.endswith("-evaluation")


def test_other_data_of_the_same_name_have_another_folder(run, pictures, tmp_path):
    other = shutil.copytree(pictures, tmp_path / "other" / pictures.name)
    for source in (pictures, other, pictures, other):
        folder = experiments.evaluation_folder(run, str(source), "test")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.json").write_text(json.dumps({"data": str(source)}))
    folders = {path.name: read(path / "metrics.json")["data"] for path in (run / "evaluation").iterdir()}
    assert folders == {"pictures-test": str(pictures), "pictures-test-2": str(other)}


# metrics and predictions


@pytest.mark.usefixtures("without_plots")
def test_evaluate_gives_the_metrics_of_the_run_and_writes_them_to_every_named_file(finished_run, pictures, tmp_path):
    metrics, predictions, form = tmp_path / "deep/metrics.json", tmp_path / "p.csv", tmp_path / "form.csv"
    options = ("--json", metrics, "--csv", predictions, "--submission", form, "--out", tmp_path / "out")
    assert evaluate(finished_run, pictures, *options) == 0
    expected = read(finished_run / "metrics.json")
    del expected["training"]
    assert read(metrics) == expected | {"quality": None}
    assert read(tmp_path / "out/metrics.json") == expected
    assert predictions.read_text() == (finished_run / "predictions.csv").read_text()
    assert len({name for name, _ in rows(form)}) == 1 + 12  # files of the same name keep their folders


@pytest.mark.usefixtures("without_plots")
def test_a_submission_has_file_names_and_the_labels_of_the_data(finished_run, pictures, tmp_path):
    for label, name in enumerate(CLASSES):
        (tmp_path / "data/test").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/train" / name).mkdir(parents=True)
        shutil.copy(pictures / "test" / name / "00.png", tmp_path / f"data/test/{2 - label}.png")
        shutil.copy(pictures / "train" / name / "00.png", tmp_path / "data/train" / name)
    form, metrics = tmp_path / "form.csv", tmp_path / "metrics.json"
    options = ("--split", "test", "--submission", form, "--json", metrics, "--out", tmp_path / "out")
    assert evaluate(finished_run, tmp_path / "data", *options) == 0
    assert rows(form) == [["id", "label"], ["0.png", "owl"], ["1.png", "dog"], ["2.png", "cat"]]
    assert read(metrics)["accuracy"] is None  # test images outside class folders have no label


def test_a_weights_file_can_be_measured_instead_of_its_run(finished_run, pictures, tmp_path):
    weights = shutil.copy(finished_run / "last.safetensors", tmp_path)
    trained, measurement = experiments.measure(weights, str(pictures), "test", device="cpu")
    assert (trained.provenance.epoch, measurement.split.names[0]) == (4, "test/cat/00.png")


def test_a_dedicated_classifier_can_be_evaluated(classifier_run, pictures, tmp_path):
    assert evaluate(classifier_run, pictures, "--split", "test", "--out", tmp_path) == 0
    found = read(tmp_path / "metrics.json")
    assert (found["n"], found["bits_per_dim"]) == (12, None)
    assert (tmp_path / "index.html").is_file()


def csv_source(folder, pictures, **splits):
    """`folder/SPLIT.csv` of images by absolute path, with their labels."""
    folder.mkdir()
    for split, labels in splits.items():
        text = "".join(f"{pictures}/validation/{name}/00.png,{label}\n" for name, label in labels)
        (folder / f"{split}.csv").write_text(text)
    return folder


@pytest.mark.usefixtures("without_plots")
def test_without_labels_there_is_no_accuracy_and_bits_per_dimension_are_of_the_mixture(
    finished_run, pictures, tmp_path, capsys
):
    source = csv_source(tmp_path / "table", pictures, test=[(name, -1) for name in CLASSES])
    options = ("--split", "test", "--csv", tmp_path / "p.csv", "--out", tmp_path / "out")
    assert evaluate(finished_run, f"csv:{source}", *options) == 0
    metrics = read(tmp_path / "out/metrics.json")
    assert (metrics["accuracy"], metrics["macro_f1"], metrics["n"]) == (None, None, 3)
    output = capsys.readouterr().out
    assert "accuracy" not in output
    assert "of p(x)," in output
    trained, measurement = experiments.measure(finished_run, f"csv:{source}", "test", device="cpu")
    mixture = (measurement.log_prob + trained.log_prior).logsumexp(dim=1)  # log p(x), uniform prior
    assert metrics["bits_per_dim"] == pytest.approx(bits_per_dim(-mixture, 3 * 6 * 8).mean().item())
    assert [row[1] for row in rows(tmp_path / "p.csv")] == ["label", "", "", ""]


def test_classes_are_matched_by_name_in_any_order(finished_run, pictures, tmp_path):
    source = csv_source(tmp_path / "table", pictures, validation=[(name, name) for name in reversed(CLASSES)])
    _, measurement = experiments.measure(finished_run, f"csv:{source}", "validation", device="cpu")
    assert measurement.split.labels.tolist() == [2, 1, 0]
    other = csv_source(tmp_path / "wolves", pictures, validation=[("cat", "wolf")])
    with pytest.raises(InputError, match="class 'wolf' is not among cat, dog, owl"):
        experiments.measure(finished_run, f"csv:{other}", "validation", device="cpu")


def test_grey_images_of_another_size_are_converted_to_what_the_network_takes(finished_run, pictures, tmp_path):
    grey = shutil.copytree(pictures, tmp_path / "grey")
    for path in grey.rglob("*.png"):
        Image.open(path).convert("L").resize((16, 12)).save(path)
    _, measurement = experiments.measure(finished_run, str(grey), "test", device="cpu")
    assert measurement.split.pixels.shape == (12, 3, 6, 8)
    assert measurement.split.pixels.max() < 8
    assert measurement.classification.accuracy > 0.5


# out-of-distribution data


def test_images_of_other_classes_are_compared_with_those_of_the_split(finished_run, pictures, tmp_path, capsys):
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
        marginal = measure(trained, split).log_marginal
        scores.append(ood_scores(marginal, split.pixels, 8, trained.calibration.ood.bits_per_dim))
    scores, other_scores = scores
    assert list(found["scores"]) == list(scores)
    output = capsys.readouterr().out
    for name, separation in found["scores"].items():
        assert separation["auroc"] == auroc(scores[name], other_scores[name]).auroc
        assert (separation["n_in_distribution"], separation["n_ood"]) == (12, 8)
        assert f"AUROC of {name}" in output
    assert all((out / f"figures/separation{suffix}").is_file() for suffix in FIGURE_FORMATS)


# ensembles


def test_the_evaluation_of_an_ensemble_has_its_own_folder_and_names_its_networks(run, second_run, pictures, capsys):
    assert evaluate(run, pictures, "--split", "test", "--ensemble", second_run) == 0
    output = capsys.readouterr().out
    assert [path.name for path in (run / "evaluation").iterdir()] == ["pictures-test-with-second"]
    folder = run / "evaluation/pictures-test-with-second"
    found, networks = read(folder / "metrics.json"), [checkpoint.load(each) for each in (run, second_run)]
    assert [(each["run"], each["weights"]) for each in found["ensemble"]] == [
        (str(each), network.digest) for each, network in zip((run, second_run), networks, strict=True)
    ]
    assert (found["parameters"], found["epoch"]) == (2 * networks[0].num_parameters, None)
    assert found["calibrated"]["source"] == "cross-fitted on these images"
    about = read(folder / "about.json")
    assert about["facts"]["weights"] == ", ".join(network.digest for network in networks)
    assert about["description"].startswith("An ensemble of 2 PixelCNN++ with ")
    figures = {path.stem for path in (folder / "figures").iterdir()}
    assert "reliability" in figures
    assert not figures & {"cosines", "explanations"}  # these are of a single network
    assert f"{about['description']}: {run}, {second_run}; combined as a mixture\n" in output
    assert "pictures-test-with-second" in (run / "index.html").read_text()


@pytest.mark.parametrize("combine", ["mixture", "product"])
def test_an_ensemble_combines_the_densities_of_its_networks(finished_run, second_run, pictures, combine):
    members = [checkpoint.load(each, "cpu") for each in (finished_run, second_run)]
    trained, measurement = experiments.measure(
        finished_run, str(pictures), "test", ScoringConfig(combine=combine), members=[second_run], device="cpu"
    )
    assert [member.digest for member in trained.members] == [member.digest for member in members]
    single = [measure(member, measurement.split, ScoringConfig(views=1)).log_prob for member in members]
    density = {
        "mixture": torch.stack(single).logsumexp(dim=0),  # a constant less does not change the posterior
        "product": torch.stack(single).mean(dim=0),
    }[combine]
    expected = (density + trained.log_prior).log_softmax(dim=1)
    torch.testing.assert_close(measurement.log_posterior, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.usefixtures("without_plots")
def test_a_stale_calibration_of_a_single_network_is_mentioned(run, second_run, pictures, capsys):
    record = run / "calibration.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"weights": "of another network"}))
    assert evaluate(run, pictures) == 0
    assert "the calibration beside these weights does not apply" in capsys.readouterr().out
    assert not load_trained(run, [second_run], device="cpu").stale_calibration  # an ensemble has no calibration


@pytest.mark.parametrize("options", [("--samples", 2), ("--ood-data", "digits")])
def test_samples_and_other_data_need_a_single_network(options, finished_run, second_run, pictures, tmp_path, capsys):
    assert evaluate(finished_run, pictures, "--ensemble", second_run, "--out", tmp_path / "out", *options) == 2
    assert "are not available for an ensemble; evaluate a single network" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_that_cannot_be_a_member_is_named(finished_run, classifier_run, second_run, pictures, tmp_path, capsys):
    other = checkpoint.load(second_run)
    checkpoint.save(replace(other, class_names=("a", "b", "c")), tmp_path / "renamed.safetensors")
    for member, message in {
        classifier_run: "holds a dedicated classifier, but a PixelCNN++ is needed",
        tmp_path / "renamed.safetensors": f"differs from {finished_run} in class_names",
        tmp_path / "none": "no such run folder or weights file",
        finished_run: "is named twice",
    }.items():
        assert evaluate(finished_run, pictures, "--out", tmp_path / "out", "--ensemble", member) == 2
        error = capsys.readouterr().err
        assert str(member) in error
        assert message in error
    assert evaluate(classifier_run, pictures, "--out", tmp_path / "out", "--ensemble", finished_run) == 2
    assert f"{classifier_run}/best.safetensors: holds a dedicated classifier" in capsys.readouterr().err
