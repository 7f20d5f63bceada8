"""Reads a config from presets, YAML files and options, with errors that suggest the closest name."""

import argparse
import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, NoReturn, TypeVar, get_args, get_origin

from pixelbayes.cli.parser import Parser, PreParser
from pixelbayes.experiments.config import RunConfig
from pixelbayes.utils.config_diff import flatten
from pixelbayes.utils.config_fields import (
    all_field_docs,
    build,
    describe,
    field_types,
    short_name,
    short_names,
    suggest,
)
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import read_yaml

INDENT = 30  # column at which help texts begin
WIDTH = 118

# the fields that people set first, by their short names
COMMON = (
    "data",
    "image_size",
    "model",
    "fusion",
    "num_filters",
    "epochs",
    "batch_size",
    "learning_rate",
    "seed",
    "device",
)

PLACEHOLDERS = {
    "image_size": "H W",
    "data": "SOURCE",
    "model": "NAME",
    "fusion": "NAME",
    "init_from": "RUN",
    "teacher": "RUN",
    "weights": "FILE",
}


def placeholder(name: str, kind: Any) -> str:
    """The placeholder of a field's value in the help.

    >>> placeholder("image_size", tuple[int, int] | None), placeholder("epochs", int), placeholder("compile", bool)
    ('H W', 'N', 'true|false')
    """
    if name in PLACEHOLDERS:
        return PLACEHOLDERS[name]
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        return (
            f"{placeholder(name, inner[0])} ..." if Ellipsis in inner else " ".join(placeholder(name, k) for k in inner)
        )
    options = [argument for argument in get_args(kind) if argument is not type(None)]
    if options:
        return placeholder(name, options[-1])
    return {int: "N", float: "X", bool: "true|false", str: "TEXT"}.get(kind, "VALUE")


def num_values(kind: Any) -> int | None:
    """Number of values that an option takes on the command line; None for any number.

    >>> num_values(tuple[int, int] | None), num_values(tuple[str, ...]), num_values(tuple[str, ...] | str)
    (2, None, 1)
    """
    options = [argument for argument in get_args(kind) if argument is not type(None)]
    if get_origin(kind) is not tuple:
        return num_values(options[0]) if len(options) == 1 and get_origin(kind) is not Literal else 1
    return None if Ellipsis in get_args(kind) else len(get_args(kind))


C = TypeVar("C", bound=RunConfig)


class ConfigParser(Parser, Generic[C]):
    """Reads a config: a preset, then YAML files, then options.

    An option has the full name of a field with dashes, `--training.batch-size 32`, or its last part, `--batch-size 32`.
    `--data` means `--data.source`, and `--model` means `--model.network`. A field with several numbers takes them
    separately: `--image-size 32 32`.

    Args:
        kind: The class of the config.
        presets: Named configs.
        start: Name of the preset that is used if neither a preset nor a YAML file is given; None for the defaults.
        args, kwargs: As for `Parser`.
    """

    given: frozenset[str] = frozenset()
    """Dotted names of the fields that the last parsed command line or its files set"""

    def __init__(self, kind: type[C], presets: Mapping[str, C], *args: Any, start: str | None = None, **kwargs: Any):
        super().__init__(*args, print_config=None, **kwargs)
        self.kind = kind
        self.presets = presets
        self.start = start
        self.types = field_types(kind)
        self.short_names = short_names(self.types)
        self.add_argument("--config", action="config", metavar="FILE", help="YAML file with any of the fields below")
        without = f" (default: {start}, without --config)" if start else ""
        self.add_argument(
            "--preset",
            choices=list(presets),
            metavar="NAME",
            help=f"config to start from: {', '.join(presets)}{without}",
        )
        self.add_argument("--print-config", action="store_true", help="print all fields as YAML for --config, and stop")
        self.add_class_arguments(kind)

    def parse_config(self, arguments: Sequence[str]) -> tuple[C, Any]:
        """Parses the command line.

        Returns:
            The config, and the other arguments as a namespace.

        Raises:
            InputError: On the first fault; the message names the field and suggests the closest name.
        """
        pre_parser = PreParser()
        pre_parser.add_argument("--preset")
        pre_parser.add_argument("--config", action="append", default=[])
        first, others = pre_parser.parse_known_args(self._to_full_names(arguments))
        given = {option[2:].partition("=")[0] for option in others}
        for file in first.config:
            given |= set(check_file(Path(file), self.types))
        self.given = frozenset(given & set(self.types))
        preset = self.presets.get(first.preset or ("" if first.config else self.start or ""))
        if preset is not None:
            self.set_defaults(flatten(preset.as_plain()))
        files = [f"--config={file}" for file in first.config]  # options override files, in any order
        parsed = self.parse_args([*([f"--preset={first.preset}"] if first.preset else []), *files, *others])
        return build(self.kind, {name: parsed[name] for name in self.types}), parsed

    def _to_full_names(self, arguments: Sequence[str]) -> list[str]:
        """Replaces short option names by full ones, and several values of a field by one list."""
        own = {
            option for action in self._actions for option in action.option_strings if not self._is_group(action.dest)
        }
        result: list[str] = []
        rest = list(arguments)
        while rest:
            argument = rest.pop(0)
            option, equals, value = argument.partition("=")
            field = option[2:].replace("-", "_")
            name = self.short_names.get(field, field)
            if not option.startswith("--") or (option in own and name not in self.types):
                result.append(argument)
                continue
            if name not in self.types:
                raise InputError(f"unknown option {option}{self._suggestion(option, own)}")
            count = num_values(self.types[name])
            if not equals and count != 1 and (values := _leading_values(rest, count)):
                rest = rest[len(values) :]
                equals, value = "=", _as_list(values, self.types[name])
            result.append(f"--{name}{equals}{value}")
        return result

    def _is_group(self, name: str) -> bool:
        return any(field.startswith(f"{name}.") for field in self.types)

    def _suggestion(self, option: str, own: Iterable[str]) -> str:
        names = [f"--{name.replace('_', '-')}" for name in (*self.short_names, *self.types)]
        return suggest(option, [*own, *names])

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if wrong := re.match(r'Parser key "([\w.]+)":.*?(?:Got value:|Given value:) (.*)', message, re.DOTALL):
            name, value = wrong.groups()
            if name in self.types:
                raise InputError(f"{name} is {value.strip()!r}, expected {describe(self.types[name])}")
        if missing := re.match(r"argument --([\w.]+): expected one argument", message):
            name = missing[1]
            if name in self.types:
                raise InputError(f"--{name.replace('_', '-')} has no value, expected {describe(self.types[name])}")
        super().error(message, ex)

    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        """The options that people need first, then all fields by group, then examples."""
        docs = all_field_docs(self.kind)
        defaults = flatten((self.presets[self.start] if self.start else self.kind()).as_plain())
        names = "".join(f" {each.metavar} [{each.metavar} ...]" for each in self._actions if not each.option_strings)
        usage = [f"usage: {self.prog}{names} [options]", "", *textwrap.wrap(str(self.description), WIDTH), ""]

        def field_line(name: str) -> str:
            short = short_name(name)
            default = defaults.get(name)
            shown = "" if default in ("", None, []) else f" (default: {_as_text(default)})"
            written = short if self.short_names[short] == name else name  # a later field may have the same short name
            option = f"--{written.replace('_', '-')} {placeholder(short, self.types[name])}"
            return _help_line(option, docs.get(name, "") + shown)

        common = [self.short_names[name] for name in COMMON if name in self.short_names]
        others = [
            _help_line(_option_text(action), str(action.help or ""))
            for action in self._actions
            if action.help != argparse.SUPPRESS
            and action.dest not in self.types
            and not any(name.startswith(f"{action.dest}.") for name in self.types)
        ]
        groups: dict[str, list[str]] = {}
        for name in self.types:
            groups.setdefault(name.rpartition(".")[0] or "run", []).append(name)
        sections = [
            ("common options", [*map(field_line, common), *others]),
            *(
                (f"all fields of {group}" if group != "run" else "other fields", list(map(field_line, names)))
                for group, names in groups.items()
            ),
        ]
        note = textwrap.wrap(
            "Every field can be written in full, such as --training.batch-size. In YAML files names have underscores.",
            WIDTH,
        )
        body = [line for title, lines in sections for line in (f"{title}:", *lines, "")]
        return "\n".join([*usage, *body, *note, ""]) + self.format_examples()


def _leading_values(arguments: Sequence[str], count: int | None) -> list[str]:
    """The values at the start of the arguments, up to the next option, at most `count`; a list "[...]" stands alone."""
    values: list[str] = []
    for argument in arguments:
        if argument.startswith("--") or (count is not None and len(values) == count):
            break
        values.append(argument)
        if argument.startswith("[") or argument == "null":
            break
    return values


def _as_list(values: Sequence[str], kind: Any) -> str:
    """Values as a YAML list; texts are quoted, because "1" and "no" are not text in YAML."""
    if values[0].startswith("[") or values[0] == "null":
        return values[0]
    if str in get_args(kind):
        return json.dumps(values, ensure_ascii=False)
    return values[0] if len(values) == 1 else f"[{', '.join(values)}]"


def _as_text(value: Any) -> str:
    """A default as one would type it."""
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _option_text(action: Any) -> str:
    names = ", ".join(action.option_strings) or str(action.metavar)
    takes_value = action.nargs != 0
    value = action.metavar or (action.dest.upper() if takes_value else "")
    return f"{names} {value}" if action.option_strings and takes_value else names


def _help_line(option: str, text: str) -> str:
    wrapped = textwrap.wrap(text.replace("%(default)s", ""), WIDTH - INDENT) or [""]
    if len(option) + 4 > INDENT:
        return "\n".join([f"  {option}", *(" " * INDENT + line for line in wrapped)])
    first, *more = wrapped
    return "\n".join([f"  {option}".ljust(INDENT) + first, *(" " * INDENT + line for line in more)])


def check_file(path: Path, types: Mapping[str, Any]) -> list[str]:
    """Checks the field names in a YAML config; the parser checks the types.

    Args:
        path: The file.
        types: Types of the fields, by dotted name.

    Returns:
        The dotted names of the fields in the file.

    Raises:
        InputError: With one line for each fault.
    """
    plain = read_yaml(path, "--print-config shows the form")
    faults = []
    fields = flatten(plain, leaves=[name for name, kind in types.items() if get_origin(kind) is dict])
    for name, value in fields.items():
        if any(field.startswith(f"{name}.") for field in types):
            faults.append(f"{path}: {name} is {value!r}, expected a group of fields")
        elif name not in types:
            faults.append(f"{path}: unknown field {name}{suggest(name, types)}")
        elif value is None and type(None) not in get_args(types[name]):
            faults.append(f"{path}: {name} is null, expected {describe(types[name])}")
        elif isinstance(value, list) and str in get_args(types[name]):
            faults += [
                f"{path}: {name} holds {each!r}, which is not text in YAML; put quotes around what you wrote"
                for each in value
                if not isinstance(each, str)
            ]
    if faults:
        raise InputError.listing(faults)
    return list(fields)
