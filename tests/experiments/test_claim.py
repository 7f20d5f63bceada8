"""How a folder becomes a run."""

import json
import sys
from dataclasses import replace

import pytest
import yaml
from measured import trained_pixelcnn

from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.data import AugmentationConfig, DataConfig, load_data
from pixelbayes.experiments.claim import (
    augmented_examples,
    claim,
    new_run_folder,
    run_facts,
    start_run,
)
from pixelbayes.experiments.config import RunConfig
from pixelbayes.training import TrainingConfig
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.run_folder import RunFolder

SUMMARY = {"fingerprint": "of the data"}
CONFIG = RunConfig(data=DataConfig(source="digits", class_names=tuple("0123456789")))


def test_claiming_a_folder_writes_the_config_and_the_data_summary(tmp_path):
    folder = RunFolder(tmp_path / "run")
    claim(folder, CONFIG, SUMMARY, resume=True)  # there is nothing to resume, so the run starts
    assert yaml.safe_load(folder.config.read_text()) == CONFIG.as_plain()
    assert json.loads(folder.data.read_text()) == SUMMARY


def test_a_folder_that_holds_a_run_is_not_claimed_again(tmp_path):
    claim(RunFolder(tmp_path), CONFIG, SUMMARY, resume=False)
    with pytest.raises(InputError, match=r"holds a run already; give --resume to continue it, or another --out"):
        claim(RunFolder(tmp_path), CONFIG, SUMMARY, resume=False)


def test_a_folder_that_weights_cannot_be_read_from_is_refused_at_the_start(tmp_path):
    with pytest.raises(InputError, match=r"the name is not UTF-8; give another --out"):
        claim(RunFolder(tmp_path / "caf\udce9"), CONFIG, SUMMARY, resume=False)


def test_a_run_is_resumed_with_the_same_config_only(tmp_path):
    claim(RunFolder(tmp_path), CONFIG, SUMMARY, resume=False)
    claim(RunFolder(tmp_path), CONFIG, SUMMARY, resume=True)
    other = replace(CONFIG, seed=1, data=replace(CONFIG.data, levels=5))
    with pytest.raises(InputError, match=r"has other values of data.levels, seed; resume without these options"):
        claim(RunFolder(tmp_path), other, SUMMARY, resume=True)


def test_a_run_starts_with_the_data_and_their_summary(tmp_path, decodings):
    data = start_run(CONFIG, tmp_path, resume=False, eval_split="test")
    summary = json.loads(RunFolder(tmp_path).data.read_text())
    assert summary["splits"]["train"]["images"] == len(data.split("train"))
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "data.json"}
    assert len(decodings) == 1
    assert start_run(CONFIG, tmp_path / "other", resume=False, eval_split="test", data=data) is data
    assert len(decodings) == 1


def test_a_run_without_validation_images_does_not_start(tmp_path):
    config = RunConfig(data=replace(CONFIG.data, validation_fraction=0.0))
    with pytest.raises(InputError, match="has no 'validation' split"):
        start_run(config, tmp_path / "run", resume=False, eval_split="test")
    data = load_data(CONFIG.data)
    split = data.split("validation")
    empty = replace(split, pixels=split.pixels[:0], labels=split.labels[:0], names=())
    with pytest.raises(InputError, match="digits: the validation split holds no image"):
        start_run(
            CONFIG,
            tmp_path / "run",
            resume=False,
            eval_split="validation",
            data=replace(data, splits=data.splits | {"validation": empty}),
        )
    assert not (tmp_path / "run").exists()


def test_a_logger_that_cannot_be_used_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    config = replace(CONFIG, training=replace(CONFIG.training, logger="wandb", device="cpu"))
    with pytest.raises(InputError, match="logger wandb needs the wandb package"):
        start_run(config, tmp_path / "run", resume=False, eval_split="validation")
    assert not (tmp_path / "run").exists()


def test_augmented_examples_need_an_augmentation():
    data = load_data(CONFIG.data)
    assert augmented_examples(data, AugmentationConfig(), seed=0) is None
    assert len(augmented_examples(data, AugmentationConfig(crop=1), seed=0).axes) > 0


@pytest.mark.parametrize(
    ("settings", "ending"),
    [
        ({}, None),
        ({"epochs": 9, "patience": 2}, "after epoch 3 of 9, by patience: no improvement of accuracy since epoch 1"),
        ({"epochs": 9, "patience": 2, "max_seconds": 5.0}, "after epoch 3 of 9, by max_seconds"),
    ],
)
def test_the_facts_of_a_run_say_why_it_ended_early(settings, ending):
    trained = replace(trained_pixelcnn(), provenance=Provenance(epoch=1))
    config = replace(CONFIG, training=TrainingConfig(**({"epochs": 3} | settings)))
    facts = run_facts(trained, config, [{"seconds": 2.0}] * 3)
    assert facts["selected"] == "epoch 1 of 3, by accuracy"
    assert facts.get("training ended") == ending


def test_a_new_run_folder_does_not_exist_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = []
    for _ in range(3):
        folders.append(new_run_folder("demo"))
        folders[-1].mkdir(parents=True)
    assert len(set(folders)) == 3
