"""From command line and YAML to a config, with errors that name the field and the nearest right one."""

import argparse
import dataclasses
import difflib
import inspect
import io
import re
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from pixelbayes.cli.parser import Glance, Parser
from pixelbayes.experiments import ExperimentConfig
from pixelbayes.experiments.run_folder import RunConfig
from pixelbayes.utils.errors import InputError


def field_types(cls: type = ExperimentConfig, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> type of every field of a nested dataclass.

    >>> field_types()["model.num_filters"]
    <class 'int'>
    """
    types: dict[str, Any] = {}
    for name, kind in get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            types.update(field_types(kind, f"{prefix}{name}."))  # type: ignore[arg-type]
        else:
            types[prefix + name] = kind
    return types


def field_comments(cls: type = ExperimentConfig, prefix: str = "") -> dict[str, str]:
    """Dotted name -> the comment behind the field, which is its reference.

    >>> field_comments()["model.num_filters"]
    'F, width of both stacks'
    """
    comments: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(base)).readline):
            if token.type == tokenize.COMMENT and (field := re.match(r"    (\w+): ", token.line)):
                comments[prefix + field[1]] = token.string.lstrip("# ")
    for name, kind in get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            comments.update(field_comments(kind, f"{prefix}{name}."))  # type: ignore[arg-type]
    return comments


def describe(kind: Any) -> str:
    """A type in words.

    >>> describe(tuple[int, int] | None), describe(Literal["adam", "adamw"])
    ('[a whole number, a whole number] or null', 'adam or adamw')
    """
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return " or ".join(map(str, arguments))
    if get_origin(kind) is tuple:
        inner = [describe(argument) for argument in arguments if argument is not Ellipsis]
        return f"[{', '.join(inner)}{', ...' if Ellipsis in arguments else ''}]"
    if get_origin(kind) is Union or arguments:
        return " or ".join(describe(argument) for argument in arguments)
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return words.get(kind, str(kind))


C = TypeVar("C", bound=RunConfig)


class ConfigParser(Parser, Generic[C]):
    """Reads a config: a preset, then YAML files, then dotted overrides.

    A field may be given by its last name alone (`--epochs 3` for `--training.epochs 3`), with dashes for underscores;
    `--data` is short for `--data.source`. Anything else that is not a field is refused.

    Args:
        kind: The config's class.
        presets: Configs of that class by name.
    """

    def __init__(self, kind: type[C], presets: Mapping[str, C], *args: Any, **kwargs: Any):
        super().__init__(*args, print_config=None, **kwargs)
        self.kind = kind
        self.presets = presets
        self.types = field_types(kind)
        self.add_argument("--config", action="config", help="YAML file with any of the fields below")
        self.add_argument("--preset", choices=list(presets), help="a named config to start from")
        self.add_argument(
            "--print_config", action="store_true", help="print all fields, as --config reads them, and stop"
        )
        self.add_class_arguments(kind)
        comments = field_comments(kind)
        for action in self._actions:
            if action.dest in comments:
                action.help = f"{comments[action.dest]} (default: %(default)s)"
            elif action.dest == "data":
                action.help = "short for --data.source"
                action.metavar = "SOURCE"
            elif any(name.startswith(f"{action.dest}.") for name in self.types):
                action.help = argparse.SUPPRESS

    def parse_config(self, arguments: list[str]) -> tuple[C, Any]:
        """The config, and the other arguments as a namespace.

        Raises:
            InputError: On the first fault, naming the field and the nearest right one.
        """
        glance = Glance()
        glance.add_argument("--preset")
        glance.add_argument("--config", action="append", default=[])
        first, others = glance.parse_known_args(self._expand(arguments))
        for file in first.config:
            check_file(Path(file), self.types)
        if first.preset in self.presets:
            self.set_defaults(flatten(self.presets[first.preset].as_plain()))
        files = [f"--config={file}" for file in first.config]  # overrides come after them, wherever they stood
        parsed = self.parse_args([*([f"--preset={first.preset}"] if first.preset else []), *files, *others])
        return build(self.kind, {name: parsed[name] for name in self.types}), parsed

    def _expand(self, arguments: list[str]) -> list[str]:
        known = {option for action in self._actions for option in action.option_strings}
        short = {name.rpartition(".")[2]: f"--{name}" for name in self.types} | {"data": "--data.source"}
        expanded = []
        for argument in arguments:
            option, equals, value = argument.partition("=")
            if option.startswith("--") and (option not in known or option == "--data"):
                option = short.get(option[2:].replace("-", "_"), option)
                if option not in known:
                    raise InputError(f"unknown option {option}{_nearest(option, known)}")
            expanded.append(option + equals + value)
        return expanded

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if wrong := re.match(r'Parser key "([\w.]+)":.*?(?:Got value:|Given value:) (.*)', message, re.DOTALL):
            name, value = wrong.groups()
            if name in self.types:
                raise InputError(f"{name} is {value.strip()!r}, expected {describe(self.types[name])}")
        super().error(message, ex)


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else "; --help lists them all"


def flatten(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts to one of dotted names.

    >>> flatten({"seed": 0, "model": {"num_filters": 8}})
    {'seed': 0, 'model.num_filters': 8}
    """
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        flat.update(flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat


def check_file(path: Path, types: Mapping[str, Any]) -> None:
    """Names what is no field in a YAML config; the parser itself sees to the types.

    Args:
        types: Of the fields, by dotted name.

    Raises:
        InputError: With a line for each fault.
    """
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the config cannot be read ({getattr(error, 'strerror', error)})") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(f"{path}: {line}not YAML ({error.problem}); --print_config shows how it looks") from error
    except yaml.YAMLError as error:  # a character that YAML has no place for
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(plain, dict):
        raise InputError(f"{path}: expected fields and values, as --print_config shows them")
    faults = []
    for name, value in flatten(plain).items():
        if any(known.startswith(f"{name}.") for known in types):
            faults.append(f"{path}: {name} is {value!r}, expected fields of its own")
        elif name not in types:
            faults.append(f"{path}: unknown field {name}{_nearest(name, types)}")
        elif value is None and type(None) not in get_args(types[name]):
            faults.append(f"{path}: {name} is null, expected {describe(types[name])}")
    if faults:
        raise InputError.listing(faults)


def build(cls: type, values: dict[str, Any], prefix: str = "") -> Any:
    """A nested dataclass from values by dotted name; lists become tuples."""
    arguments = {}
    for name, kind in get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            arguments[name] = build(kind, values, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            value = values[prefix + name]
            arguments[name] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)
