"""Configs from presets, YAML files and options."""

from dataclasses import asdict, replace

import pytest
import yaml

from pixelbayes.cli import main
from pixelbayes.cli.config_parser import ConfigParser
from pixelbayes.experiments import ExperimentConfig
from pixelbayes.experiments.baseline import BASELINES, BaselineConfig, ClassifierArchitecture
from pixelbayes.experiments.presets import PRESETS
from pixelbayes.utils.config_diff import config_differences, flatten
from pixelbayes.utils.errors import InputError


def parse(*arguments):
    return ConfigParser(ExperimentConfig, PRESETS, prog="pixelbayes train").parse_config(list(arguments))[0]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_its_config(name):
    assert parse("--preset", name) == PRESETS[name]


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--training.epochs", "3"], "training.epochs", 3),
        (["--training.epochs=3"], "training.epochs", 3),
        (["--epochs", "3"], "training.epochs", 3),
        (["--monitor", "bits_per_dim"], "training.monitor", "bits_per_dim"),
        (["--training.batch-size", "32"], "training.batch_size", 32),
        (["--training.batch_size", "32"], "training.batch_size", 32),
        (["--batch-size=32"], "training.batch_size", 32),
        (["--data", "folder:photos"], "data.source", "folder:photos"),
        (["--data.source", "folder:photos"], "data.source", "folder:photos"),
        (["--image-size", "6", "8"], "data.image_size", (6, 8)),
        (["--data.image-size", "6", "8"], "data.image_size", (6, 8)),
        (["--image-size", "[6, 8]"], "data.image_size", (6, 8)),
        (["--class-names", "sea lion", "a, b"], "data.class_names", ("sea lion", "a, b")),
        (["--class-names", "1", "no"], "data.class_names", ("1", "no")),
        (["--class-names", "cat"], "data.class_names", ("cat",)),
        (["--class-names", "[b, a]"], "data.class_names", ("b", "a")),
        (["--fusion", "film+adaln"], "model.fusion", "film+adaln"),
        (["--fusion", "[film, adaln]"], "model.fusion", ("film", "adaln")),
        (["--weight-norm", "false"], "model.weight_norm", False),
        (["--learning-rate", "1e-4"], "training.learning_rate", 1e-4),
        (["--init-from", "runs/before"], "training.init_from", "runs/before"),
        (["--seed", "7"], "seed", 7),
    ],
)
def test_an_option_sets_one_field_by_its_full_or_its_last_name(arguments, name, value):
    config = parse(*arguments)
    assert flatten(asdict(config))[name] == value
    assert config_differences(asdict(config), asdict(ExperimentConfig())) == [name]


def test_model_is_the_network_of_a_dedicated_classifier_and_survives_yaml(tmp_path):
    parser = ConfigParser(BaselineConfig, BASELINES, prog="pixelbayes baseline")
    config = parser.parse_config(["--model", "timm:resnet18", "--weights", "w.pth"])[0]
    assert config == BaselineConfig(model=ClassifierArchitecture(network="timm:resnet18", weights="w.pth"))
    (tmp_path / "c.yaml").write_text(config.as_yaml())
    assert parser.parse_config(["--config", str(tmp_path / "c.yaml")])[0] == config


def test_several_numbers_end_where_their_field_ends():
    parser = ConfigParser(ExperimentConfig, PRESETS, prog="pixelbayes compare")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int)
    for arguments in (
        ["film", "adaln", "--image-size", "6", "8", "--seeds", "0", "1"],
        ["--seeds", "0", "1", "--image-size", "6", "8", "film", "adaln"],
    ):
        config, other = parser.parse_config(arguments)
        assert config.data.image_size == (6, 8)
        assert (other.names, other.seeds) == (["film", "adaln"], [0, 1])


@pytest.mark.parametrize("options_last", [False, True])
def test_options_override_the_file_and_the_file_overrides_the_preset_in_any_order(options_last, tmp_path):
    (tmp_path / "c.yaml").write_text("training: {epochs: 7, batch_size: 5}\n")
    files = ["--config", str(tmp_path / "c.yaml"), "--preset", "digits"]
    config = parse(*files, "--epochs", "3") if options_last else parse("--epochs", "3", *files)
    expected = replace(PRESETS["digits"].training, batch_size=5, epochs=3)
    assert config == replace(PRESETS["digits"], training=expected)


def test_the_second_of_two_files_overrides_the_first(tmp_path):
    (tmp_path / "a.yaml").write_text("training: {epochs: 7, batch_size: 5}\n")
    (tmp_path / "b.yaml").write_text("training: {epochs: 8}\n")
    config = parse("--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml"))
    assert (config.training.epochs, config.training.batch_size) == (8, 5)


def test_a_printed_config_gives_the_same_config_again(tmp_path, capsys):
    arguments = ["--preset", "digits", "--image-size", "6", "8", "--class-names", "1", "0", "--levels", "4"]
    assert main(["train", *arguments, "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["data"]["class_names"] == ["1", "0"]
    (tmp_path / "c.yaml").write_text(printed)
    assert parse("--config", str(tmp_path / "c.yaml")) == parse(*arguments)


@pytest.mark.parametrize("option", ["--training.epoch", "--epoch", "--conf", "--pres", "--model"])
def test_abbreviations_and_groups_are_not_options(option):
    with pytest.raises(InputError, match=f"unknown option {option}; did you mean"):
        parse(option, "3")


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--image-size", r"--data.image-size has no value, expected \[a whole number"), ("--compile", "true or false")],
)
def test_an_option_without_its_value_names_what_is_expected(option, expected):
    with pytest.raises(InputError, match=expected):
        parse(option)
