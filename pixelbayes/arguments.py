"""An argument parser that reports what is wrong as one InputError, and never guesses at an abbreviation."""

from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from pixelbayes.errors import InputError


class Parser(ArgumentParser):
    """jsonargparse's parser in our manners."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise InputError(" ".join(message.split()))
