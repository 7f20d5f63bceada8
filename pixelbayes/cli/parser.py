"""An argument parser that reports what is wrong as one InputError, and never guesses at an abbreviation."""

import argparse
import re
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from pixelbayes.utils.errors import InputError

WORDS = {"int": "a whole number", "float": "a number"}


class Parser(ArgumentParser):
    """jsonargparse's parser in our manners."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        message = " ".join(message.split())
        if wrong := re.match(r"Parser key \"(\w+)\": Expected a <class '(int|float)'>. Got value: (.*)", message):
            name, kind, value = wrong.groups()
            raise InputError(f"{name} is {value!r}, expected {WORDS[kind]}")
        raise InputError(f"{message}; see `{self.prog} --help`")


class Glance(argparse.ArgumentParser):
    """Looks for a few options among others, before the parser that knows them all."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise InputError(message)
