"""Where the weights of a network come from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pixelbayes.data import DataConfig
from pixelbayes.utils.files import from_json


@dataclass(frozen=True, kw_only=True)
class AveragedNetwork:
    """One of the networks whose weights were averaged.

    Args:
        weights: Digest of its weights.
        command: The command that trained it.
    """

    weights: str
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How the weights of a network were made. It is stored with them.

    Args:
        command: The command line; empty if it is not known.
        config: The config of the run, as nested plain values; empty if it is not known.
        epoch: The epoch of the weights.
        monitor: The validation metric by which the epoch was selected.
        metrics: Metrics of that epoch, by their names in the history.
        imported_from: Name of the file that an imported network was read from.
        averaged: The networks whose weights were averaged.
    """

    command: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    epoch: int | None = None
    monitor: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    imported_from: str = ""
    averaged: tuple[AveragedNetwork, ...] = ()

    @property
    def data(self) -> DataConfig | None:
        """The training data; None if they are not known."""
        data = self.config.get("data")
        return from_json(DataConfig, data) if data else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; empty fields are left out."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", {}, ())}
