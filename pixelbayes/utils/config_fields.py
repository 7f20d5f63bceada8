"""The fields of nested config dataclasses by dotted name: types, descriptions and conversion of values."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentError, ArgumentParser

from pixelbayes.utils.config_docs import field_docs
from pixelbayes.utils.errors import InputError

GROUP_FIELDS = {"data.source": "data", "model.network": "model"}  # fields whose short name is that of their group


def field_types(cls: type, prefix: str = "") -> dict[str, Any]:
    """The type of every field of nested dataclasses, by dotted name.

    >>> from pixelbayes.images.preprocessing import Preprocessing
    >>> field_types(Preprocessing)["image_shape.height"]
    <class 'int'>
    """
    types: dict[str, Any] = {}
    for name, kind in get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            types.update(field_types(kind, f"{prefix}{name}."))  # type: ignore[arg-type]
        else:
            types[prefix + name] = kind
    return types


def all_field_docs(cls: type, prefix: str = "") -> dict[str, str]:
    """The attribute docstring of every field of nested dataclasses, by dotted name.

    >>> from pixelbayes.images.preprocessing import Preprocessing
    >>> all_field_docs(Preprocessing)["image_shape.height"]
    'H, at least 1'
    """
    docs = {prefix + name: text for name, text in field_docs(cls).items()}
    for name, kind in get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            docs.update(all_field_docs(kind, f"{prefix}{name}."))  # type: ignore[arg-type]
    return docs


def short_name(name: str) -> str:
    """The short name of a field.

    >>> short_name("training.batch_size"), short_name("data.source")
    ('batch_size', 'data')
    """
    return GROUP_FIELDS.get(name, name.rpartition(".")[2])


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Dotted names by the last part of the name and by the short name; the later of two fields has a common one.

    >>> short_names(["data.source", "model.num_filters"])
    {'source': 'data.source', 'num_filters': 'model.num_filters', 'data': 'data.source'}
    """
    names = list(names)
    return {name.rpartition(".")[2]: name for name in names} | {short_name(name): name for name in names}


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


def convert(name: str, value: Any, kind: Any) -> Any:
    """A value as the type of a field has it: whole numbers become numbers, and lists become tuples.

    Args:
        name: The name of the field, for the message.
        value: The value, as from YAML.
        kind: The type.

    Raises:
        InputError: If the value has another type.

    >>> convert("model.dropout", 1, float), convert("data.image_size", [8, 8], tuple[int, int] | None)
    (1.0, (8, 8))
    """
    if isinstance(value, str) and kind is str:
        return value  # which may look like a number
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=kind)
    try:
        converted = parser.parse_object({"value": value}).value
    except (ArgumentError, TypeError):
        raise InputError(f"{name} is {value!r}, expected {describe(kind)}") from None
    return tuple(converted) if isinstance(converted, list) else converted


def suggest(name: str, known: Iterable[str], otherwise: str = "--help lists all of them") -> str:
    """The end of an error message that suggests the closest known name."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; {otherwise}"


def build(cls: type, values: Mapping[str, Any], prefix: str = "") -> Any:
    """Builds nested dataclasses from values by dotted name; lists become tuples."""
    arguments = {}
    for name, kind in get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            arguments[name] = build(kind, values, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            value = values[prefix + name]
            arguments[name] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)
