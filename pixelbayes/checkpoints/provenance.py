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
        without_labels: Whether it was also trained without labels, so that it knows log p(x); None if not recorded.
    """

    command: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    epoch: int | None = None
    monitor: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    imported_from: str = ""
    averaged: tuple[AveragedNetwork, ...] = ()
    without_labels: bool | None = None

    @property
    def knows_unconditional(self) -> bool | None:
        """Whether the network knows log p(x), which guidance needs; None if its training is not known."""
        if self.without_labels is not None:
            return self.without_labels
        if self.imported_from:  # the course's networks have no input for "no label"
            return False
        label_dropout = self.config.get("training", {}).get("label_dropout")
        return None if label_dropout is None else label_dropout > 0

    @property
    def data(self) -> DataConfig | None:
        """The training data; None if they are not known."""
        data = self.config.get("data")
        return from_json(DataConfig, data) if data else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; empty fields are left out."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", {}, ())}
