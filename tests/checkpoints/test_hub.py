import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from networks import randomised, tiny_model

from pixelbayes.checkpoints.calibration_record import CalibrationRecord
from pixelbayes.checkpoints.checkpoint import load
from pixelbayes.checkpoints.hub import from_pretrained, push_to_hub, save_pretrained
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.checkpoints.trained import TrainedPixelCNN
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.utils.errors import InputError


def trained():
    network = randomised(tiny_model()).float()
    one = TrainedPixelCNN(
        network=network,
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_shape=network.config.image_shape),
        prior=(0.5, 0.25, 0.25),
        provenance=Provenance(
            command="pixelbayes train --data zoo",
            config={"data": {"source": "zoo"}},
            epoch=7,
            metrics={"val/accuracy": 0.75, "train/bits_per_dim": 1.0},
        ),
    )
    record = CalibrationRecord(
        temperature=3.0,
        weights=one.digest,
        source="zoo",
        split="validation",
        data="f",
        n=9,
        nll_before=2.0,
        nll_after=1.0,
    )
    return replace(one, calibration=record)


def test_a_network_is_loaded_from_a_folder_as_it_was_saved(tmp_path):
    saved = trained()
    save_pretrained(saved, tmp_path / "zoo")
    assert {path.name for path in (tmp_path / "zoo").iterdir()} == {
        "model.safetensors",
        "config.json",
        "README.md",
        "calibration.json",
    }
    for loaded in (from_pretrained(tmp_path / "zoo"), load(tmp_path / "zoo")):  # commands use `load`
        assert loaded.digest == saved.digest
        assert replace(loaded, network=saved.network) == saved
    config = json.loads((tmp_path / "zoo" / "config.json").read_text())
    assert (config["library_name"], config["network"]["num_filters"]) == ("pixelbayes", 4)


def test_the_card_states_data_command_metrics_temperature_and_limits(tmp_path):
    save_pretrained(trained(), tmp_path / "zoo")
    card = (tmp_path / "zoo" / "README.md").read_text()
    for fact in (
        "# zoo",
        "ant, bee, cow",
        "8 x 12, 3 channels, 5 levels",
        "data: zoo; command: `pixelbayes train --data zoo`",
        "epoch 7; metrics of that epoch on its validation split: accuracy 0.7500\n",
        "3, fitted on zoo",
        "## Limits",
    ):
        assert fact in card
    assert huggingface_hub.ModelCard(card).data.library_name == "pixelbayes"


def test_the_card_of_a_network_of_unknown_provenance_says_so(tmp_path):
    save_pretrained(replace(trained(), provenance=Provenance(), calibration=None), tmp_path / "zoo")
    card = (tmp_path / "zoo" / "README.md").read_text()
    assert "data: not recorded; command: `not recorded`" in card
    assert "epoch not recorded; metrics of that epoch on its validation split: not recorded" in card
    assert "temperature: not fitted" in card


def test_a_calibration_record_of_another_network_is_removed(tmp_path):
    save_pretrained(trained(), tmp_path)
    other = replace(trained(), calibration=None)
    with torch.no_grad():
        other.network.to_params.bias.add_(1)
    save_pretrained(other, tmp_path)
    assert not (tmp_path / "calibration.json").exists()


def test_a_pushed_network_can_be_downloaded(tmp_path, monkeypatch):
    hub, created = tmp_path / "hub", []
    monkeypatch.setattr(huggingface_hub, "create_repo", lambda name, **options: created.append((name, options)))

    def upload(repo_id, folder_path, commit_message, token):
        shutil.copytree(folder_path, hub / repo_id)
        return SimpleNamespace(commit_url=f"hub/{repo_id}/1")

    monkeypatch.setattr(huggingface_hub, "upload_folder", upload)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, revision, allow_patterns: hub / name)
    monkeypatch.chdir(tmp_path)
    assert push_to_hub(trained(), "me/zoo", private=True) == "hub/me/zoo/1"
    assert created == [("me/zoo", {"private": True, "token": None, "exist_ok": True})]
    assert from_pretrained("me/zoo").digest == trained().digest
    assert "# me/zoo" in (hub / "me" / "zoo" / "README.md").read_text()


def test_a_failed_download_or_upload_is_one_line(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("no\nnetwork")

    for name in ("snapshot_download", "create_repo"):
        monkeypatch.setattr(huggingface_hub, name, fail)
    with pytest.raises(InputError, match=r"me/zoo: no such folder, and the .* hub does not provide it \(no network\)$"):
        from_pretrained("me/zoo")
    with pytest.raises(InputError, match=r"me/zoo: the Hugging Face hub rejected the upload \(no network\)$"):
        push_to_hub(trained(), "me/zoo")
