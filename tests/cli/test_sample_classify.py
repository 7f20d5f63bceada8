"""`average`, and what `classify` prints; sample, classify and import are tested in tests/experiments."""

import os
import shutil
from dataclasses import replace

import pytest

from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main


def average(*options):
    """`pixelbayes average`; returns the exit status."""
    return main(["average", *map(str, options)])


def test_the_average_of_runs_is_a_network_with_their_names_and_the_next_step(
    finished_run, second_run, pictures, tmp_path, capsys
):
    out = tmp_path / "new/mean.safetensors"
    assert average(finished_run, second_run, "--out", out) == 0
    output = capsys.readouterr().out
    assert f"wrote {out}, the mean of 2 networks: {finished_run}, {second_run}\n" in output
    assert f"next: `pixelbayes calibrate {out} --data SOURCE`" in output
    provenance = checkpoint.load(out).provenance
    digests = [checkpoint.load(run).digest for run in (finished_run, second_run)]
    assert [each.weights for each in provenance.averaged] == digests
    assert provenance.command.startswith("pixelbayes")
    assert main(["calibrate", str(out), "--data", str(pictures), "--device", "cpu"]) == 0


def test_epochs_of_one_run_can_be_averaged(finished_run, tmp_path):
    both = (finished_run / "best.safetensors", finished_run / "last.safetensors")
    assert average(*both, "--out", tmp_path / "mean.safetensors") == 0


def test_an_existing_file_is_not_replaced(finished_run, second_run, tmp_path, capsys):
    out = tmp_path / "mean.safetensors"
    out.write_text("precious")
    assert average(finished_run, second_run, "--out", out) == 2
    assert capsys.readouterr().err == f"pixelbayes: {out} exists already; give another --out\n"
    assert out.read_text() == "precious"


@pytest.mark.parametrize("fault", ["one network", "twice the same", "a classifier", "other data", "a wrong suffix"])
def test_networks_that_cannot_be_averaged_are_named_and_nothing_is_written(
    fault, finished_run, second_run, classifier_run, tmp_path, capsys
):
    runs, message = {
        "one network": ([finished_run], "averaging needs two or more networks, but there is 1"),
        "twice the same": ([finished_run, finished_run], f"{finished_run} is named twice"),
        "a classifier": ([finished_run, classifier_run], "holds a dedicated classifier, but a PixelCNN++ is needed"),
        "other data": ([finished_run, "digits"], f"digits: differs from {finished_run} in class_names, "),
        "a wrong suffix": ([finished_run, second_run], "mean: the name does not end in .safetensors"),
    }[fault]
    out = tmp_path / ("mean" if fault == "a wrong suffix" else "mean.safetensors")
    assert average(*runs, "--out", out) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_names_of_classes_and_files_are_shown_as_they_are(finished_run, pictures, tmp_path, monkeypatch, capsys):
    names = ("[red]", ":dog:", "[/owl]")  # for rich a colour, an emoji and a fault
    checkpoint.save(replace(checkpoint.load(finished_run), class_names=names), tmp_path / "run/best.safetensors")
    image = tmp_path / "[b] caf\udce9.png"  # a name that is not UTF-8, as an old archive leaves it
    shutil.copy(pictures / "test/cat/00.png", os.fsencode(image))
    monkeypatch.setenv("COLUMNS", "200")
    for label, name in enumerate(names):
        prior = tuple(float(label == other) for other in range(3))
        certain = replace(checkpoint.load(tmp_path / "run"), prior=prior)
        checkpoint.save(certain, tmp_path / f"{label}/best.safetensors")
        assert main(["classify", str(tmp_path / f"{label}"), str(image), "--device", "cpu"]) == 0
        shown = capsys.readouterr().out
        assert f" {name} " in shown
        assert r"[b] caf\udce9.png" in shown
