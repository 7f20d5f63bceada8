"""The argument parsers of the commands. Every fault is one `InputError`, and options are never abbreviated."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader

from pixelbayes.utils.errors import InputError

# a path whose bytes are not UTF-8 is no YAML, and jsonargparse then takes it as it is
set_loader("yaml", get_loader("yaml"), exceptions=(yaml.YAMLError, UnicodeEncodeError))

TYPE_NAMES = {"int": "a whole number", "float": "a number"}


class HelpFormatter(argparse.HelpFormatter):
    """argparse's formatter, in a fixed width."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=30, width=118)


class Parser(ArgumentParser):
    """jsonargparse's parser with our error messages, and with examples at the end of its help.

    Args:
        examples: Command lines without the leading "pixelbayes".
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any):
        # argparse's own formatter: that of jsonargparse repeats types and defaults behind every option
        super().__init__(*args, allow_abbrev=False, formatter_class=HelpFormatter, **kwargs)
        self.examples = examples

    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        return super().format_help(formatter) + self.format_examples()

    def format_examples(self) -> str:
        """The examples as a section of the help."""
        lines = [f"  pixelbayes {example}" for example in self.examples]
        return "\n".join(["", "examples:", *lines, ""]) if lines else ""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        message = " ".join(message.split())
        if missing := re.fullmatch(r"(the following arguments are required: )(.*)", message):
            message = missing[1] + ", ".join(map(self._as_typed, missing[2].split(", ")))
        if wrong := re.match(r"Parser key \"(\w+)\": Expected a <class '(int|float)'>. Got value: (.*)", message):
            name, kind, value = wrong.groups()
            raise InputError(f"{name.replace('_', '-')} is {value!r}, expected {TYPE_NAMES[kind]}")
        raise InputError(f"{message}; see `{self.prog} --help`")

    def _as_typed(self, name: str) -> str:
        """An argument as one types it, given the name of its value."""
        return next(
            (str(each.option_strings[0]) for each in self._actions if each.option_strings and each.dest == name), name
        )


class PreParser(argparse.ArgumentParser):
    """Reads a few options and leaves the others to the parser that knows all of them."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise InputError(message)
