"""The help of every command."""

import re
import shlex

import pytest

from pixelbayes.cli import COMMANDS, main
from pixelbayes.cli.config_parser import COMMON
from pixelbayes.cli.parser import Parser
from pixelbayes.experiments import ExperimentConfig
from pixelbayes.experiments.baseline import BaselineConfig
from pixelbayes.experiments.sweep import SweepRunConfig
from pixelbayes.utils.config_fields import all_field_docs, field_types, short_name

EVERY_COMMAND = [*COMMANDS, "course generate", "course classify"]


@pytest.fixture
def help_of(capsys):
    """A function from the name of a command to the text of its --help."""

    def run(name):
        with pytest.raises(SystemExit) as ended:
            main([*name.split(), "--help"])
        assert ended.value.code == 0
        return capsys.readouterr().out

    return run


def sections(text):
    """Sections of a help text: title -> text."""
    parts = re.split(r"^([\w ]+):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def without_spaces(text):
    """Lines are wrapped anywhere, even behind a hyphen."""
    return "".join(text.split())


@pytest.mark.parametrize("name", EVERY_COMMAND)
def test_the_help_of_every_command_ends_with_two_valid_examples(name, help_of, monkeypatch):
    text = help_of(name)
    assert text.startswith(f"usage: pixelbayes {name} ")
    if name in COMMANDS:
        assert without_spaces(COMMANDS[name].__doc__) in without_spaces(text)
    *_, examples = sections(text).values()
    assert text.endswith(examples)
    assert len(examples.splitlines()) == 2

    class ParsedError(Exception):
        """Ends a command whose options are valid before it does anything."""

    def parse(parser, arguments):
        original(parser, arguments)
        raise ParsedError

    original = Parser.parse_args
    monkeypatch.setattr(Parser, "parse_args", parse)
    for example in examples.splitlines():
        program, *arguments = shlex.split(example)
        assert program == "pixelbayes"
        assert " ".join(arguments).startswith(name)
        with pytest.raises(ParsedError):
            main(arguments)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("train", ExperimentConfig),
        ("compare", ExperimentConfig),
        ("baseline", BaselineConfig),
        ("sweep", SweepRunConfig),
    ],
)
def test_commands_that_train_show_common_options_first_then_every_field(name, config, help_of):
    common, *others = sections(help_of(name)).values()
    options = re.findall(r"^  --([\w-]+)", common, re.MULTILINE)
    short_names = set(map(short_name, field_types(config)))
    expected = [option.replace("_", "-") for option in COMMON if option in short_names]
    assert options[: len(expected)] == expected
    docs = all_field_docs(config)
    shown = without_spaces("".join(others))
    for field in field_types(config):
        option = short_name(field).replace("_", "-")
        assert re.search(rf"^  --{option} ", "".join(others), re.MULTILINE), field
        assert without_spaces(docs[field]) in shown, field


@pytest.mark.parametrize("name", ["train", "compare", "baseline", "evaluate", "course generate", "import"])
def test_an_image_size_is_two_numbers_in_every_command(name, help_of):
    values = re.findall(r"--(?:image|reference)-size\s+([^\n\]]*)", help_of(name))
    assert values
    assert all(re.match(r"H W\b|\d+ \d+\b", value) for value in values)
