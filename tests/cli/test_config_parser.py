import contextlib
from dataclasses import replace

import pytest
import yaml

from pixelbayes.cli import main
from pixelbayes.cli.config_parser import ConfigParser, field_comments, field_types
from pixelbayes.experiments import ExperimentConfig
from pixelbayes.experiments.presets import PRESETS
from pixelbayes.utils.errors import InputError


def parse(*arguments):
    return ConfigParser(ExperimentConfig, PRESETS, prog="pixelbayes train").parse_config(list(arguments))[0]


def test_without_arguments_the_config_is_the_default():
    assert parse() == ExperimentConfig()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_its_config(name):
    assert parse("--preset", name) == PRESETS[name]


def test_every_field_has_a_comment_that_help_shows(capsys):
    comments = field_comments(ExperimentConfig)
    assert set(comments) == set(field_types(ExperimentConfig))
    with contextlib.suppress(SystemExit):
        main(["train", "--help"])
    shown = "".join(capsys.readouterr().out.split())  # lines are broken anywhere
    for name, comment in comments.items():
        assert f"--{name}" in shown
        assert "".join(comment.split()) in shown


def test_a_comment_behind_other_code_than_a_field_is_not_taken_for_its_reference():
    assert field_comments(ExperimentConfig)["data.split_seed"] == "which images are cut"


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--training.epochs", "3"], "training.epochs", 3),
        (["--training.epochs=3"], "training.epochs", 3),
        (["--epochs", "3"], "training.epochs", 3),
        (["--select-by", "bits_per_dim"], "training.select_by", "bits_per_dim"),
        (["--select_by=bits_per_dim"], "training.select_by", "bits_per_dim"),
        (["--data", "folder:photos"], "data.source", "folder:photos"),
        (["--data.source", "folder:photos"], "data.source", "folder:photos"),
        (["--image-size", "[6, 8]"], "data.image_size", (6, 8)),
        (["--data.class_names", "[b, a]"], "data.class_names", ("b", "a")),
        (["--weight-norm", "false"], "model.weight_norm", False),
        (["--learning_rate", "1e-4"], "training.learning_rate", 1e-4),
        (["--seed", "7"], "seed", 7),
    ],
)
def test_a_field_goes_by_its_dotted_name_or_its_last_one_alone(arguments, name, value):
    config = parse(*arguments)
    part, _, last = name.rpartition(".")
    assert getattr(getattr(config, part) if part else config, last) == value
    changed = replace(getattr(config, part), **{last: getattr(getattr(ExperimentConfig(), part), last)}) if part else 0
    assert replace(config, **({part: changed} if part else {"seed": 0})) == ExperimentConfig()  # and nothing else


@pytest.mark.parametrize("last", [False, True])
def test_overrides_come_over_the_file_and_the_file_over_the_preset_in_whatever_order(last, tmp_path):
    (tmp_path / "c.yaml").write_text("training: {epochs: 7, batch_size: 5}\n")
    files = ["--config", str(tmp_path / "c.yaml"), "--preset", "digits"]
    config = parse(*files, "--epochs", "3") if last else parse("--epochs", "3", *files)
    expected = replace(PRESETS["digits"].training, batch_size=5, epochs=3)
    assert config == replace(PRESETS["digits"], training=expected)


def test_of_two_files_the_second_comes_over_the_first(tmp_path):
    (tmp_path / "a.yaml").write_text("training: {epochs: 7, batch_size: 5}\n")
    (tmp_path / "b.yaml").write_text("training: {epochs: 8}\n")
    config = parse("--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml"))
    assert (config.training.epochs, config.training.batch_size) == (8, 5)


def test_what_print_config_prints_gives_the_same_config_back(tmp_path, capsys):
    arguments = ["--preset", "digits", "--image-size", "[6, 8]", "--class-names", "[b, a]", "--seed", "3"]
    assert main(["train", *arguments, "--print_config"]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "c.yaml").write_text(printed)
    assert yaml.safe_load(printed)["training"]["epochs"] == PRESETS["digits"].training.epochs
    assert parse("--config", str(tmp_path / "c.yaml")) == parse(*arguments)


def test_a_config_as_yaml_gives_the_same_config_back(tmp_path):
    config = parse("--preset", "digits", "--image-size", "[6, 8]", "--class-names", "['1', '0']", "--levels", "4")
    (tmp_path / "c.yaml").write_text(config.as_yaml())
    assert parse("--config", str(tmp_path / "c.yaml")) == config


@pytest.mark.parametrize("abbreviation", ["--training.epoch", "--epoch", "--conf", "--pres"])
def test_abbreviations_are_not_guessed_at(abbreviation):
    with pytest.raises(InputError, match="unknown option"):
        parse(abbreviation, "3")
