import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from networks import randomised, tiny_model

from pixelbayes import from_pretrained, push_to_hub, save_pretrained
from pixelbayes.checkpoints.calibration_record import FittedTemperature
from pixelbayes.checkpoints.checkpoint import Checkpoint, load
from pixelbayes.cli import main
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.utils.errors import InputError


def trained(seed=0):
    network = randomised(tiny_model()).float()
    with torch.no_grad():
        network.to_params.bias.add_(seed)
    checkpoint = Checkpoint(
        network=network,
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_size=(8, 12), levels=5),
        prior=(0.5, 0.25, 0.25),
        about={"epoch": 7, "val/accuracy": 0.75, "command": "pixelbayes train --data zoo"},
    )
    fitted = FittedTemperature(
        temperature=3.0,
        weights=checkpoint.digest,
        source="zoo",
        split="validation",
        data="f",
        n=9,
        nll_before=2.0,
        nll_after=1.0,
    )
    return replace(checkpoint, calibration=fitted)


def test_a_network_comes_back_from_a_folder_as_it_was(tmp_path):
    one = trained()
    save_pretrained(one, tmp_path / "zoo")
    assert {path.name for path in (tmp_path / "zoo").iterdir()} == {
        "model.safetensors",
        "config.json",
        "README.md",
        "calibration.json",
    }
    again = from_pretrained(tmp_path / "zoo")
    assert again.digest == one.digest
    assert (again.class_names, again.preprocessing, again.prior) == (one.class_names, one.preprocessing, one.prior)
    assert again.temperature == 3.0
    assert load(tmp_path / "zoo").digest == one.digest  # so that every command takes the folder
    config = json.loads((tmp_path / "zoo" / "config.json").read_text())
    assert (config["library_name"], config["network"]["num_filters"]) == ("pixelbayes", 4)


def test_the_card_tells_data_command_figures_temperature_and_limits(tmp_path):
    save_pretrained(trained(), tmp_path / "zoo")
    card = (tmp_path / "zoo" / "README.md").read_text()
    for piece in (
        "# zoo",
        "ant, bee, cow",
        "pixelbayes train --data zoo",
        "accuracy 0.7500",
        "3, fitted on zoo",
        "## Limits",
    ):
        assert piece in card
    assert huggingface_hub.ModelCard(card).data.library_name == "pixelbayes"


def test_a_calibration_of_another_network_does_not_stay(tmp_path):
    save_pretrained(trained(), tmp_path)
    save_pretrained(replace(trained(seed=1), calibration=None), tmp_path)
    assert not (tmp_path / "calibration.json").exists()


def test_what_is_pushed_is_what_is_saved_and_what_is_fetched(tmp_path, monkeypatch):
    hub, made = tmp_path / "hub", []
    monkeypatch.setattr(huggingface_hub, "create_repo", lambda name, **how: made.append((name, how["private"])))

    def upload(repo_id, folder_path, commit_message, token):
        shutil.copytree(folder_path, hub / repo_id)
        return SimpleNamespace(commit_url=f"hub/{repo_id}/1")

    monkeypatch.setattr(huggingface_hub, "upload_folder", upload)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, revision, allow_patterns: hub / name)
    monkeypatch.chdir(tmp_path)
    assert push_to_hub(trained(), "me/zoo", private=True) == "hub/me/zoo/1"
    assert made == [("me/zoo", True)]
    assert from_pretrained("me/zoo").digest == trained().digest
    assert "# me/zoo" in (hub / "me" / "zoo" / "README.md").read_text()


def test_what_is_not_to_be_had_is_said_in_one_line(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("no\nnetwork")

    for name in ("snapshot_download", "create_repo"):
        monkeypatch.setattr(huggingface_hub, name, fail)
    with pytest.raises(InputError, match=r"me/zoo: no such folder, and not to be had .* \(no network\)"):
        from_pretrained("me/zoo")
    with pytest.raises(InputError, match=r"me/zoo: the Hugging Face hub did not take it \(no network\)"):
        push_to_hub(trained(), "me/zoo")


def test_commands_take_such_a_folder(tmp_path, capsys):
    save_pretrained(trained(), tmp_path / "zoo")
    assert main(["sample", str(tmp_path / "zoo"), "--label", "bee", "--n", "2", "--out", str(tmp_path / "bees")]) == 0
    assert len(list((tmp_path / "bees").iterdir())) == 2
