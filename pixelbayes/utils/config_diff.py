"""In what two configs differ."""

from collections.abc import Mapping
from typing import Any


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The fields of a plain config by dotted name.

    >>> flat({"seed": 0, "model": {"num_filters": 8}})
    {'seed': 0, 'model.num_filters': 8}
    """
    fields: dict[str, Any] = {}
    for key, value in config.items():
        fields |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return fields


def differences(*configs: Mapping[str, Any]) -> list[str]:
    """Dotted names of the fields in which plain configs differ; a field that is missing counts as None.

    >>> differences({"seed": 0, "model": {"num_filters": 8}}, {"seed": 0, "model": {"num_filters": 9}})
    ['model.num_filters']
    """
    fields = [flat(config) for config in configs]
    names = dict.fromkeys(name for each in fields for name in each)
    return [name for name in names if any(each.get(name) != fields[0].get(name) for each in fields)]
