"""Differences between configs."""

from collections.abc import Collection, Mapping
from typing import Any


def flatten(config: Mapping[str, Any], prefix: str = "", leaves: Collection[str] = ()) -> dict[str, Any]:
    """Converts nested dictionaries to one with dotted names.

    Args:
        config: The dictionaries.
        prefix: What all names begin with.
        leaves: Dotted names of dictionaries that are values themselves.

    >>> flatten({"seed": 0, "model": {"num_filters": 8}})
    {'seed': 0, 'model.num_filters': 8}
    """
    fields: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        is_nested = isinstance(value, dict) and value and name not in leaves
        fields |= flatten(value, f"{name}.", leaves) if is_nested else {name: value}
    return fields


def config_differences(*configs: Mapping[str, Any]) -> list[str]:
    """Dotted names of the fields in which configs differ; a missing field counts as None.

    >>> config_differences({"seed": 0, "model": {"num_filters": 8}}, {"seed": 0, "model": {"num_filters": 9}})
    ['model.num_filters']
    """
    fields = [flatten(config) for config in configs]
    names = dict.fromkeys(name for each in fields for name in each)
    return [name for name in names if any(each.get(name) != fields[0].get(name) for each in fields)]
