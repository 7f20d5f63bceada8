from pathlib import Path

import pytest
import torch

import pixelbayes
from pixelbayes import experiments as experiment
from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.bundled import FOLDER, shipped_names, shipped_weights
from pixelbayes.cli import main
from pixelbayes.utils.errors import InputError


def test_what_comes_with_the_package_is_small_enough_to_come_with_it():
    assert "digits" in shipped_names()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 24 * 2**20


@pytest.mark.parametrize("name", shipped_names())
def test_a_network_of_the_package_is_loaded_by_name_calibrated_and_says_how_it_came_to_be(name):
    trained = pixelbayes.load(name)
    assert not trained.stale_calibration
    assert trained.calibration.views <= trained.network.config.views
    assert trained.about["command"].startswith("pixelbayes ")
    assert {weight.dtype for weight in trained.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", shipped_names())
def test_a_network_of_the_package_has_a_card_of_these_very_weights(name):
    trained = pixelbayes.load(name)
    card = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert trained.digest in card
    assert trained.about["command"] in card
    assert all(class_name in card for class_name in trained.class_names)


def test_the_network_of_digits_reads_digits_as_its_card_says():
    _, measurement = experiment.evaluate("digits", "digits", "test", device="cpu")
    assert (measurement.views, measurement.combine) == (2, "mean")
    assert measurement.classification.accuracy == pytest.approx(0.981, abs=0.008)
    assert measurement.bits_per_dim == pytest.approx(1.643, abs=0.002)


IMAGES = Path(__file__).parents[2] / "shared" / "data" / "cpen455"


@pytest.mark.slow
@pytest.mark.skipif(not IMAGES.is_dir(), reason=f"needs {IMAGES}")
def test_the_network_of_photographs_reads_them_as_its_card_says():
    _, measurement = experiment.evaluate("food-and-fur", f"csv:{IMAGES}", "validation", device="cpu")
    assert (measurement.views, measurement.combine) == (2, "mean")
    assert measurement.classification.accuracy == pytest.approx(0.9191, abs=0.005)  # rounding may turn an image or two
    assert measurement.bits_per_dim == pytest.approx(3.7123, abs=0.001)


def test_a_folder_of_that_name_goes_first(finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").symlink_to(finished_run)
    assert pixelbayes.load("digits").class_names == ("cat", "dog", "owl")


def test_commands_take_the_name(tmp_path, capsys):
    assert main(["sample", "digits", "--label", "7", "--n", "2", "--out", str(tmp_path / "sevens")]) == 0
    assert len(list((tmp_path / "sevens").iterdir())) == 2
    assert main(["sample", "digit"]) == 2
    assert (
        "digit: there is no such run folder or weights file, nor does the package know it: " in capsys.readouterr().err
    )


def test_a_network_of_the_package_is_not_calibrated_anew():
    before = shipped_weights("digits").with_name("digits.calibration.json").read_bytes()
    with pytest.raises(InputError, match="digits comes with the package and stays as it is"):
        experiment.calibrate("digits", "digits", "validation")
    assert shipped_weights("digits").with_name("digits.calibration.json").read_bytes() == before


def test_half_the_bits_take_half_the_room_and_are_read_as_rounded(finished_run, tmp_path):
    whole = checkpoint.load(finished_run)
    for half, file in ((False, "whole"), (True, "half")):
        checkpoint.save(whole, tmp_path / f"{file}.safetensors", half=half)
    sizes = [(tmp_path / f"{file}.safetensors").stat().st_size for file in ("whole", "half")]
    tensors = sum(4 * tensor.numel() for tensor in whole.network.state_dict().values())
    assert sizes[0] - sizes[1] == pytest.approx(tensors / 2, rel=0.01)
    again = checkpoint.load(tmp_path / "half.safetensors").network.state_dict()
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(again[name], tensor.half().float())
