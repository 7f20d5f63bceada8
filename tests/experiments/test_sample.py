"""`sample`, from a run to image files."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from runs import CLASSES, QUICK

from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main
from pixelbayes.experiments.acceptance import log_posterior
from pixelbayes.experiments.baseline import train_baseline
from pixelbayes.images.preprocessing import open_image
from pixelbayes.inference.acceptance import log_odds


def draw(run, out, *options):
    assert main(["sample", str(run), "--out", str(out), "--device", "cpu", *map(str, options)]) == 0
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_sample_writes_n_images_of_the_networks_size_for_each_class(finished_run, tmp_path, capsys):
    files = draw(finished_run, tmp_path / "all", "--num-samples", 2)
    assert list(files) == [f"{name}-000{index}.png" for name in CLASSES for index in range(2)]
    for name in files:
        with Image.open(tmp_path / "all" / name) as image:
            assert (image.size, image.mode, image.format) == ((8, 6), "RGB", "PNG")
    assert f"6 images in {tmp_path / 'all'}" in capsys.readouterr().out
    owls = draw(finished_run, tmp_path / "owls", "--num-samples", 1, "--label", "owl", "--label", 2)
    assert list(owls) == ["owl-0000.png"]


def test_an_image_depends_on_the_seed_but_not_on_the_other_images(finished_run, tmp_path):
    two = draw(finished_run, tmp_path / "two", "--num-samples", 2, "--label", "owl")
    three = draw(finished_run, tmp_path / "three", "--num-samples", 3)
    assert two == {name: three[name] for name in two}
    assert two["owl-0000.png"] != two["owl-0001.png"]
    other = draw(finished_run, tmp_path / "other", "--num-samples", 2, "--label", "owl", "--seed", 1)
    assert not set(other.values()) & set(two.values())


def test_the_reference_sampler_draws_the_same_images(guidable_run, tmp_path):
    # in float32 at 8 levels: no random number of these is within rounding error of a step
    fast = draw(guidable_run, tmp_path / "fast", "--num-samples", 2, "--guidance", 0.5)
    reference = draw(guidable_run, tmp_path / "reference", "--num-samples", 2, "--guidance", 0.5, "--reference")
    assert reference == fast


@pytest.mark.parametrize(
    ("option", "kept"), [(("--keep-rows", 2), 16), (("--keep-pixels", 11), 11), (("--keep-rows", 0), 0)]
)
def test_an_image_is_completed(finished_run, pictures, tmp_path, option, kept):
    picture = pictures / "test" / "owl" / "00.png"
    draw(finished_run, tmp_path / "out", "--num-samples", 2, "--label", "cat", "--complete", picture, *option)
    preprocessing = checkpoint.load(finished_run).preprocessing
    given = preprocessing(open_image(picture)).flatten(1)
    completed = [preprocessing(open_image(path)).flatten(1) for path in (tmp_path / "out").iterdir()]
    for pixels in completed:
        assert torch.equal(pixels[:, :kept], given[:, :kept])
        assert not torch.equal(pixels[:, kept:], given[:, kept:])
    assert not torch.equal(*completed)


def test_sample_does_not_overwrite_images(finished_run, tmp_path, capsys):
    out = tmp_path / "out"
    before = draw(finished_run, out, "--num-samples", 2, "--label", "cat")
    assert main(["sample", str(finished_run), "--out", str(out), "--num-samples", "3", "--seed", "1"]) == 2
    assert f"{out}/cat-0000.png and 1 more exist already; give another --out" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_classes_whose_names_give_the_same_file_name_do_not_overwrite_each_other(finished_run, tmp_path):
    trained = checkpoint.load(finished_run)
    checkpoint.save(replace(trained, class_names=("a b", "a/b", "c")), tmp_path / "best.safetensors")
    files = draw(tmp_path, tmp_path / "out", "--num-samples", 1)
    assert list(files) == ["a_b-0-0000.png", "a_b-1-0000.png", "c-2-0000.png"]


def test_with_acceptance_samples_have_a_larger_posterior_and_the_rule_is_recorded(finished_run, tmp_path, capsys):
    draw(finished_run, tmp_path / "first", "--num-samples", 8)
    files = draw(finished_run, tmp_path / "best", "--num-samples", 8, "--accept", 0.25, "--max-draws", 5)
    found = json.loads(files.pop("acceptance.json"))
    assert list(files) == [f"{name}-000{index}.png" for name in CLASSES for index in range(8)]
    assert (found["rate"], found["max_draws"], found["samples"]) == (0.25, 5, 24)
    trained = checkpoint.load(finished_run)
    assert found["judge"] == trained.digest
    assert set(found["acceptance"]) == set(CLASSES)
    assert f"{found['accepted']} of 24 samples accepted" in capsys.readouterr().out

    def own_odds(folder):
        pixels = torch.stack([trained.preprocessing(open_image(folder / name)) for name in files])
        label = torch.arange(3).repeat_interleave(8)
        return log_odds(log_posterior(trained, pixels)).gather(1, label[:, None]).squeeze(1), label

    (before, _), (after, label) = own_odds(tmp_path / "first"), own_odds(tmp_path / "best")
    threshold = torch.tensor([found["threshold"][name] for name in CLASSES], dtype=torch.float64)[label]
    assert int((after >= threshold).sum()) == found["accepted"] > int((before >= threshold).sum())


def test_a_dedicated_classifier_judges_draws_if_it_fits(finished_run, pictures, tmp_path, capsys):
    data = replace(QUICK.data, source=str(pictures))
    train_baseline(replace(QUICK, data=data), tmp_path / "judge")
    options = ("--num-samples", 2, "--label", "cat", "--accept", 0.5, "--max-draws", 2, "--judge", tmp_path / "judge")
    found = json.loads(draw(finished_run, tmp_path / "out", *options)["acceptance.json"])
    assert found["judge"] == checkpoint.load_classifier(tmp_path / "judge").digest
    train_baseline(replace(QUICK, data=replace(data, levels=16)), tmp_path / "other")
    wrong = map(str, (*options[:-1], tmp_path / "other"))
    assert main(["sample", str(finished_run), "--out", str(tmp_path / "none"), *wrong]) == 2
    assert "judge" in (error := " ".join(capsys.readouterr().err.split()))
    assert "16 levels, resized by crop, but 6 x 8, 3 channels, 8 levels" in error
    assert not list((tmp_path / "none").glob("*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--accept", 0), "rate is 0.0, expected above 0 and at most 1"),
        (("--accept", 0.5, "--max-draws", 0), "max_draws is 0, expected at least 1"),
        (("--max-draws", 3), "need --accept RATE"),
        (("--accept", 0.5, "--complete", "a.png", "--keep-rows", 1), "exclude each other"),
    ],
)
def test_options_of_acceptance_that_contradict_each_other_are_refused(finished_run, tmp_path, capsys, options, message):
    assert main(["sample", str(finished_run), "--out", str(tmp_path / "out"), *map(str, options)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
