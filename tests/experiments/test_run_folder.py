import json
from dataclasses import replace

import pytest
import yaml

from pixelbayes.data import DataConfig
from pixelbayes.experiments.run_folder import CONFIG, DATA, RunConfig, begin, claim
from pixelbayes.utils.errors import InputError

SUMMARY = {"fingerprint": "of the data"}
CONFIG_OF_RUN = RunConfig(data=DataConfig(source="digits", class_names=tuple("0123456789")))


def test_a_folder_is_claimed_by_writing_the_config_there(tmp_path):
    claim(tmp_path / "run", CONFIG_OF_RUN, SUMMARY, resume=True)  # nothing to resume yet: it begins
    assert yaml.safe_load((tmp_path / "run" / CONFIG).read_text()) == CONFIG_OF_RUN.as_plain()


def test_a_folder_that_holds_a_run_takes_no_second_one(tmp_path):
    claim(tmp_path, CONFIG_OF_RUN, SUMMARY, resume=False)
    with pytest.raises(InputError, match=r"holds a run already; give --resume to go on with it, or another --out"):
        claim(tmp_path, CONFIG_OF_RUN, SUMMARY, resume=False)


def test_a_run_is_resumed_by_its_own_config_alone(tmp_path):
    claim(tmp_path, CONFIG_OF_RUN, SUMMARY, resume=False)
    claim(tmp_path, CONFIG_OF_RUN, SUMMARY, resume=True)
    other = replace(CONFIG_OF_RUN, seed=1, data=replace(CONFIG_OF_RUN.data, levels=5))
    with pytest.raises(InputError, match=r"differs from what was asked in data.levels, seed; resume without these"):
        claim(tmp_path, other, SUMMARY, resume=True)


def test_a_run_begins_with_data_and_their_summary(tmp_path):
    data = begin(CONFIG_OF_RUN, tmp_path, resume=False, report_on="test")
    summary = json.loads((tmp_path / DATA).read_text())
    assert summary["splits"]["train"]["images"] == len(data.split("train"))
    assert {CONFIG, DATA} == {path.name for path in tmp_path.iterdir()}


def test_a_run_without_validation_images_does_not_begin(tmp_path):
    config = RunConfig(data=replace(CONFIG_OF_RUN.data, validation_fraction=0.0))
    with pytest.raises(InputError, match="has no 'validation' split"):
        begin(config, tmp_path / "run", resume=False, report_on="test")
    assert not (tmp_path / "run").exists()
