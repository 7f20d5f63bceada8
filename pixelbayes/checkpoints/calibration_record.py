"""What a network is told after training: how far to trust its likelihoods, and what images usually score."""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import write_text


@dataclass(frozen=True, kw_only=True)
class Typical:
    """What images like those of training score, by `evaluation.outliers`; in bits per dimension.

    Raises:
        ValueError: If what should be a number is none.
    """

    bits_per_dim: float  # mean of -log2 p(x) / (C H W)
    limits: dict[str, float | None]  # score -> what one image in a hundred exceeds; None: too few images to say

    def __post_init__(self) -> None:
        known = (limit for limit in self.limits.values() if limit is not None)
        for value in (self.bits_per_dim, *known):
            if not isinstance(value, int | float):
                raise ValueError(f"typical score is {value!r}, expected a number")


@dataclass(frozen=True, kw_only=True)
class FittedTemperature:
    """The T of softmax(log p(x | c) / T + log p(c)), and what it was fitted for; kept as JSON beside the weights.

    Raises:
        ValueError: If T is not a positive, finite number.
    """

    temperature: float
    weights: str  # digest of the weights: those of any other network have another temperature
    views: int = 1  # views of an image that log p(x | c) is of
    masks: int = 0  # by which each view is read to tell the class; 0 for whole images
    combine: Literal["density", "mean"] = "density"  # how they make one, as in `inference.combined`
    source: str  # the data, as in `DataConfig`
    split: str
    data: str  # fingerprint of its images and labels
    n: int  # labelled images
    nll_before: float  # mean of -log p(label | x) in nats, on the images it was fitted on, at T = 1
    nll_after: float  # and at T
    typical: Typical | None = None  # None of a network that has no density

    def __post_init__(self) -> None:
        if not (isinstance(self.temperature, int | float) and 0 < self.temperature < math.inf):
            raise ValueError(f"temperature is {self.temperature!r}, expected a positive, finite number")

    @property
    def origin(self) -> str:
        """A phrase on where it comes from."""
        return f"fitted on {self.source}, {self.split}"

    def write(self, path: Path) -> None:
        """Writes the file, whole or not at all."""
        write_text(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "FittedTemperature":
        """What `write` has written.

        Raises:
            InputError: If the file is damaged or not understood; the message names it and the remedy.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            typical = values.get("typical")
            return cls(**{**values, "typical": None if typical is None else Typical(**typical)})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path}: not understood ({reason}); delete it, or run `pixelbayes calibrate`") from error
