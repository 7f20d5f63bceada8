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
from PIL import Image
from runs import CLASSES, TINY, train

from pixelbayes import experiments as experiment
from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main
from pixelbayes.data import DataConfig, load_data
from pixelbayes.evaluation.history import read_history
from pixelbayes.experiments import ExperimentConfig
from pixelbayes.experiments import run_folder as runs_of_package
from pixelbayes.experiments.train import MASKS
from pixelbayes.images.preprocessing import open_image
from pixelbayes.inference import BayesClassifier, score
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import permutation

SHARED = Path(__file__).parents[2] / "shared"


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# train


def test_a_run_may_end_with_figures_of_its_samples(pictures, tmp_path, quick_recipe, capsys):
    assert train(pictures, tmp_path / "run", "--epochs", 1, "--samples", 2) == 0
    assert "class agreement" in capsys.readouterr().out
    folder = tmp_path / "run" / "evaluation" / "pictures-validation"
    assert json.loads((folder / "quality.json").read_text())["n"] == 2 * len(CLASSES)
    assert "KID" in (tmp_path / "run" / "index.html").read_text()


def test_samples_that_cannot_be_are_refused_before_anything_is_trained(pictures, tmp_path, capsys):
    assert train(pictures, tmp_path / "run", "--samples", -1) == 2
    assert "-1 samples of each class, expected at least 1" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_network_of_views_is_scored_in_all_of_them(pictures, tmp_path):
    assert train(pictures, tmp_path / "run", "--epochs", 1, "--views", 4) == 0
    for name in ("calibration.json", "metrics.json"):
        found = json.loads((tmp_path / "run" / name).read_text())
        assert (found["views"], found["combine"]) == (4, "mean")


def test_a_network_that_learnt_by_context_dropout_is_scored_by_masks(pictures, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(pictures, run, "--epochs", 1, "--context_dropout", 0.5, "--context_patch", 2) == 0
    for name in ("calibration.json", "metrics.json"):
        found = json.loads((run / name).read_text())
        assert (found["views"], found["masks"], found["combine"]) == (1, MASKS, "mean")
    assert f"1 view, {MASKS} masks each, as their mean" in capsys.readouterr().out
    assert f"read in 1 view, {MASKS} masks each, as their mean" in (run / "index.html").read_text()


def test_a_run_folder_holds_all_that_a_run_has_found(finished_run):
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


def test_figures_are_at_the_top_of_metrics_json_and_in_one_row_of_metrics_csv(finished_run):
    figures = json.loads((finished_run / "metrics.json").read_text())
    assert figures["n"] == 12
    assert 0 <= figures["accuracy_interval"][0] <= figures["accuracy"] <= figures["accuracy_interval"][1] <= 1
    assert 0 <= figures["macro_f1"] <= 1
    assert 0 < figures["bits_per_dim"] < 8
    (row,) = read_csv(finished_run / "metrics.csv")
    for name in ("accuracy", "macro_f1", "bits_per_dim", "n", "split", "levels", "resize", "epoch"):
        assert row[name] == str(figures[name])


def test_predictions_hold_the_images_their_labels_and_what_was_made_of_them(finished_run):
    rows = read_csv(finished_run / "predictions.csv")
    assert [row["image"] for row in rows[:2]] == ["validation/cat/00.png", "validation/cat/01.png"]
    assert [row["label"] for row in rows] == [name for name in CLASSES for _ in range(4)]
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert right / 12 == json.loads((finished_run / "metrics.json").read_text())["accuracy"]


def test_history_has_one_row_an_epoch(finished_run):
    assert [row["epoch"] for row in read_history(finished_run / "history.csv")] == [1, 2, 3, 4]


def test_a_loaded_network_gives_the_nll_that_was_measured(finished_run, pictures):
    trained = checkpoint.load(finished_run)
    split = load_data(DataConfig(source=str(pictures), levels=8)).split("validation")
    log_prob = score(BayesClassifier(trained.network, trained.log_prior).log_prob, split.pixels, levels=8)
    nll = -log_prob.gather(1, split.labels[:, None])
    figures = json.loads((finished_run / "metrics.json").read_text())
    assert bits_per_dim(nll, 3 * 6 * 8).mean().item() == pytest.approx(figures["bits_per_dim"], rel=1e-6)  # float32
    best = read_history(finished_run / "history.csv")[trained.about["epoch"] - 1]
    assert figures["bits_per_dim"] == pytest.approx(best["val/bits_per_dim"], rel=1e-5)


def test_a_run_says_what_it_makes_of_training_images_as_they_are(finished_run, pictures):
    trained, measurement = experiment.evaluate(finished_run, str(pictures), "train", device="cpu")
    labels = measurement.split.labels
    own = bits_per_dim(
        -measurement.log_prob.gather(1, labels[:, None]).squeeze(1), trained.network.config.image_shape.dims
    )
    found = json.loads((finished_run / "metrics.json").read_text())["training"]
    some = permutation(0, "seen", 0, len(labels))[:12]  # as many as there are of validation
    assert found["n"] == 12 < len(labels)
    assert found["accuracy"] == pytest.approx((measurement.predicted == labels)[some].double().mean().item())
    assert found["bits_per_dim"] == pytest.approx(own[some].mean().item(), rel=1e-6)
    about = json.loads((finished_run / "about.json").read_text())
    assert about["facts"]["training images, as they are"].endswith(
        f"{found['bits_per_dim']:.4f} bits per dimension, of 12"
    )


def test_the_same_config_gives_the_same_weights_and_another_seed_others(finished_run, pictures, tmp_path):
    assert train(pictures, tmp_path / "same") == 0
    assert numbers(tmp_path / "same") == numbers(finished_run)
    assert train(pictures, tmp_path / "other", "--seed", 1) == 0
    assert numbers(tmp_path / "other") != numbers(finished_run)


@pytest.mark.parametrize("fusion", ["none", "input-add", "gate-add"])
def test_every_other_fusion_trains_through_the_same_path(fusion, pictures, tmp_path):
    assert train(pictures, tmp_path, "--fusion", fusion, "--epochs", 1) == 0
    assert checkpoint.load(tmp_path).network.config.fusion == fusion


def test_a_run_may_report_on_the_test_split(pictures, tmp_path):
    assert train(pictures, tmp_path, "--epochs", 1, "--eval-split", "test") == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["split"] == "test"
    assert read_csv(tmp_path / "predictions.csv")[0]["image"] == "test/cat/00.png"


def test_a_split_without_images_is_refused_before_a_folder_is_made(tmp_path, monkeypatch, pictures):
    data = load_data(DataConfig(source=str(pictures)))
    split = data.split("validation")
    empty = replace(split, pixels=split.pixels[:0], labels=split.labels[:0], names=())
    monkeypatch.setattr(
        "pixelbayes.experiments.run_folder.load_data",
        lambda _: replace(data, splits=data.splits | {"validation": empty}),
    )
    with pytest.raises(InputError, match="train, validation and validation holds no image"):
        experiment.train(ExperimentConfig(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# resume


def numbers(run):
    """Everything a run has found, but for the time it took."""
    weights = [safetensors.torch.load_file(run / f"{name}.safetensors") for name in ("best", "last")]
    bits = [{name: tensor.numpy().tobytes() for name, tensor in each.items()} for each in weights]
    rows = [{**row, "seconds": None, "images_per_second": None} for row in read_history(run / "history.csv")]
    files = ("predictions.csv", "samples/epoch-0004.png", "figures/samples.png")
    figures = json.loads((run / "metrics.json").read_text()) if (run / "metrics.json").exists() else {}
    return (
        bits,
        rows,
        figures | {"images_per_second": None},
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
    ("number", "place", "step", "saved"),  # 5 steps an epoch
    [
        (signal.SIGKILL, "training_step", 7, 7),  # in the middle of an epoch, its last step saved
        (signal.SIGKILL, "training_step", 5, 5),  # in an epoch's first step: the end of the one before is saved
        (signal.SIGKILL, "validation_step", 10, 9),  # its epoch's last step is done once more
        (signal.SIGINT, "training_step", 7, 8),
        (signal.SIGTERM, "training_step", 7, 8),
        (signal.SIGINT, "validation_step", 10, 10),
    ],
)
def test_a_run_that_is_stopped_goes_on_to_the_same_bits(
    number, place, step, saved, pictures, finished_run, tmp_path, capsys
):
    run = tmp_path / "run"
    options = ("train", "--data", pictures, "--out", run, *TINY.split())
    ended = in_a_process("-c", SIGNALLED, step, int(number), place, *options)
    if number == signal.SIGKILL:
        assert ended.returncode == -signal.SIGKILL
    else:
        assert ended.returncode == 128 + number
        assert ended.stderr.splitlines()[-1] == f"pixelbayes: stopped; `pixelbayes train --out {run} --resume` goes on"
        assert "Traceback" not in ended.stderr
    assert torch.load(run / "resume.ckpt", weights_only=False)["global_step"] == saved
    assert main(["train", "--out", str(run), "--resume"]) == 0
    assert numbers(run) == numbers(finished_run)


@pytest.mark.slow
def test_a_run_resumed_by_another_process_comes_to_the_same_bits(pictures, finished_run, tmp_path):
    run = tmp_path / "run"
    options = ("train", "--data", pictures, "--out", run, *TINY.split())
    assert in_a_process("-c", SIGNALLED, 13, int(signal.SIGKILL), "training_step", *options).returncode == -9
    ended = in_a_process("-m", "pixelbayes", "train", f"--out={run}", "--resume")
    assert ended.returncode == 0, ended.stderr
    assert "Warning" not in ended.stderr
    assert numbers(run) == numbers(finished_run)


def test_a_run_that_has_ended_can_be_reported_on_again(finished_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "metrics.json").unlink()
    assert main(["train", "--out", str(run), "--resume"]) == 0
    assert numbers(run) == numbers(finished_run)


# evaluate


def evaluated(run, source, path, *options):
    chosen = ["--json", str(path), "--out", str(path.parent / "evaluation"), "--device", "cpu", *options]
    assert main(["evaluate", str(run), "--data", str(source), *chosen]) == 0
    return json.loads(path.read_text())


def test_evaluate_gives_the_figures_of_the_run(finished_run, pictures, tmp_path):
    evaluated(finished_run, pictures, tmp_path / "deep/figures.json")
    found, kept = (
        json.loads(file.read_text()) for file in (tmp_path / "deep/figures.json", finished_run / "metrics.json")
    )
    del kept["training"]
    assert found | {"images_per_second": None} == kept | {"images_per_second": None, "quality": None}


def test_a_weights_file_can_be_evaluated_in_place_of_its_run(finished_run, pictures, tmp_path):
    weights = shutil.copy(finished_run / "last.safetensors", tmp_path)
    figures = evaluated(weights, pictures, tmp_path / "last.json", "--split", "test", "--csv", str(tmp_path / "p.csv"))
    assert (figures["epoch"], figures["split"], figures["n"]) == (4, "test", 12)
    assert read_csv(tmp_path / "p.csv")[0]["image"] == "test/cat/00.png"


def table(folder, pictures, **splits):
    """`folder/SPLIT.csv` of images by absolute path, with their labels in words."""
    folder.mkdir()
    for split, labels in splits.items():
        rows = "".join(f"{pictures}/validation/{name}/00.png,{label}\n" for name, label in labels)
        (folder / f"{split}.csv").write_text(rows)
    return folder


def test_a_split_without_labels_has_no_accuracy_and_the_bits_of_the_mixture(finished_run, pictures, tmp_path, capsys):
    source = table(tmp_path / "table", pictures, test=[(name, -1) for name in CLASSES])
    figures = evaluated(
        finished_run, f"csv:{source}", tmp_path / "f.json", "--split", "test", "--csv", f"{tmp_path}/p.csv"
    )
    assert (figures["accuracy"], figures["macro_f1"], figures["n"]) == (None, None, 3)
    assert "accuracy" not in capsys.readouterr().out
    trained, measurement = experiment.evaluate(finished_run, f"csv:{source}", "test")
    mixture = (measurement.log_prob + trained.log_prior).logsumexp(dim=1)  # log p(x), uniform prior
    assert figures["bits_per_dim"] == bits_per_dim(-mixture, 3 * 6 * 8).mean().item()
    assert [row["label"] for row in read_csv(tmp_path / "p.csv")] == ["", "", ""]


def test_classes_are_known_by_name_in_whatever_order_the_data_has_them(finished_run, pictures, tmp_path):
    source = table(tmp_path / "table", pictures, validation=[(name, name) for name in reversed(CLASSES)])
    _, measurement = experiment.evaluate(finished_run, f"csv:{source}", "validation")
    assert measurement.split.labels.tolist() == [2, 1, 0]
    with pytest.raises(InputError, match="class 'wolf' is not among cat, dog, owl"):
        experiment.evaluate(
            finished_run, f"csv:{table(tmp_path / 'wolves', pictures, validation=[('cat', 'wolf')])}", "validation"
        )


def test_images_of_another_size_are_made_to_fit(finished_run, pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "large")
    for path in (tmp_path / "large").rglob("*.png"):
        Image.open(path).resize((16, 12), Image.Resampling.NEAREST).save(path)
    figures = evaluated(finished_run, tmp_path / "large", tmp_path / "f.json")
    assert figures["image_size"] == [6, 8]


# sample


def drawn(run, out, *options):
    assert main(["sample", str(run), "--out", str(out), "--device", "cpu", *map(str, options)]) == 0
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_sample_writes_exactly_n_images_of_the_right_size_for_each_class(finished_run, tmp_path, capsys):
    files = drawn(finished_run, tmp_path / "all", "--n", 2)
    assert list(files) == [f"{name}-000{index}.png" for name in CLASSES for index in range(2)]
    for name in files:
        with Image.open(tmp_path / "all" / name) as image:
            assert (image.size, image.mode, image.format) == ((8, 6), "RGB", "PNG")
    assert f"6 images in {tmp_path / 'all'}" in capsys.readouterr().out
    assert list(drawn(finished_run, tmp_path / "owls", "--n", 1, "--label", "owl", "--label", 2)) == ["owl-0000.png"]


def test_the_seed_alone_decides_which_images_are_drawn(finished_run, tmp_path):
    two = drawn(finished_run, tmp_path / "two", "--n", 2, "--label", "owl")
    three = drawn(finished_run, tmp_path / "three", "--n", 3)
    assert two == {name: three[name] for name in two}  # however many, of however many classes
    assert two["owl-0000.png"] != two["owl-0001.png"]
    other = drawn(finished_run, tmp_path / "other", "--n", 2, "--label", "owl", "--seed", 1)
    assert not set(other.values()) & set(two.values())


def test_the_plain_sampler_draws_the_images_that_the_fast_one_does(finished_run, tmp_path):
    # float32 at 8 levels: no draw of these lies within rounding of a step
    fast = drawn(finished_run, tmp_path / "fast", "--n", 2, "--guidance", 0.5)
    assert drawn(finished_run, tmp_path / "plain", "--n", 2, "--guidance", 0.5, "--reference") == fast


@pytest.mark.parametrize(("option", "kept"), [(("--rows", 2), 16), (("--pixels", 11), 11), (("--rows", 0), 0)])
def test_a_given_image_is_completed(finished_run, pictures, tmp_path, option, kept):
    picture = pictures / "test" / "owl" / "00.png"
    drawn(finished_run, tmp_path / "out", "--n", 2, "--label", "cat", "--given", picture, *option)
    trained = checkpoint.load(finished_run)
    given = trained.preprocessing(open_image(picture)).flatten(1)
    completed = [trained.preprocessing(open_image(path)).flatten(1) for path in (tmp_path / "out").iterdir()]
    for pixels in completed:
        assert torch.equal(pixels[:, :kept], given[:, :kept])
        assert not torch.equal(pixels[:, kept:], given[:, kept:])
    assert not torch.equal(*completed)


def test_sample_refuses_to_overwrite(finished_run, tmp_path, capsys):
    before = drawn(finished_run, tmp_path / "out", "--n", 2, "--label", "cat")
    assert main(["sample", str(finished_run), "--out", str(tmp_path / "out"), "--n", "3", "--seed", "1"]) == 2
    assert f"{tmp_path}/out/cat-0000.png exists, and 1 more; give another --out" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_classes_whose_names_make_one_file_name_do_not_overwrite_each_other(finished_run, tmp_path):
    trained = checkpoint.load(finished_run)
    checkpoint.save(replace(trained, class_names=("a b", "a/b", "c")), tmp_path / "best.safetensors")
    assert list(drawn(tmp_path, tmp_path / "out", "--n", 1)) == ["a_b-0-0000.png", "a_b-1-0000.png", "c-2-0000.png"]


# classify


def test_classify_gives_log_prob_and_posterior_of_every_class_as_evaluate_does(
    finished_run, pictures, tmp_path, capsys
):
    folder, file = pictures / "validation" / "dog", pictures / "validation" / "owl" / "03.png"
    out = tmp_path / "classes.csv"
    assert main(["classify", str(finished_run), str(folder), str(file), "--out", str(out)]) == 0
    rows = read_csv(out)
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


# names and folders


def test_a_new_run_folder_is_never_one_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = []
    for _ in range(3):
        folders.append(runs_of_package.new_run_folder("demo"))
        folders[-1].mkdir(parents=True)
    assert len(set(folders)) == 3


# the course's data and network


@pytest.mark.skipif(not (SHARED / "data/cpen455").is_dir(), reason=f"no {SHARED}/data/cpen455 here")
def test_the_courses_network_is_imported_and_measured_on_its_data(tmp_path):
    data = SHARED / "data/cpen455"
    names = ("cheeseburger", "giant panda", "koala", "pizza")
    network = SHARED / "reference/input_add_conditional_pixelcnn.pth"
    assert main(["import", str(network), "--out", str(tmp_path / "run"), "--class-names", *names]) == 0
    for split in ("validation", "test"):
        rows = (data / f"{split}.csv").read_text().splitlines()[:12]
        (tmp_path / f"{split}.csv").write_text("".join(f"{data}/{row}\n" for row in rows))
    trained, known = experiment.evaluate(tmp_path / "run", f"csv:{tmp_path}", "validation", device="cpu")
    assert trained.class_names == names
    assert known.classification.accuracy >= 0.5  # 0.76 of all 519
    assert known.bits_per_dim == pytest.approx(4.76, abs=0.6)
    _, unknown = experiment.evaluate(tmp_path / "run", f"csv:{tmp_path}", "test", device="cpu")
    assert unknown.classification is None
    assert unknown.bits_per_dim == pytest.approx(4.72, abs=0.6)
