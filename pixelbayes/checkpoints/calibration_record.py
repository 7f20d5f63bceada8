"""The results of calibration, stored beside the weights: a temperature and out-of-distribution limits."""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import from_json, write_text


@dataclass(frozen=True, kw_only=True)
class OODReference:
    """Out-of-distribution scores of held-out images that are like the training images; see `metrics.ood`.

    Raises:
        ValueError: If a value is not a number.
    """

    bits_per_dim: float
    """mean of -log2 p(x) / (C H W)"""
    limits: dict[str, float | None]
    """the limit of each score, which one image in a hundred exceeds; None if there were too few images"""

    def __post_init__(self) -> None:
        limits = (limit for limit in self.limits.values() if limit is not None)
        for value in (self.bits_per_dim, *limits):
            if not isinstance(value, int | float):
                raise ValueError(f"score is {value!r}, expected a number")


@dataclass(frozen=True, kw_only=True)
class SetThreshold:
    """Which classes are in the prediction set of an image; see `metrics.conformal`.

    Raises:
        ValueError: If a value is out of its range.
    """

    coverage: float
    """probability that the set holds the class of an image, above 0 and below 1"""
    threshold: float
    """smallest p(c | x) of a class in the set, 0 to 1; at 0 it is every class, because there were too few images"""

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1 or not 0 <= self.threshold <= 1:
            raise ValueError(f"coverage is {self.coverage!r} and threshold {self.threshold!r}, expected probabilities")


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    """The temperature T of softmax(log p(x | c) / T + log p(c)), and what it was fitted on; a JSON file.

    Raises:
        ValueError: If T is not a positive, finite number.
    """

    temperature: float
    """T"""
    weights: str
    """digest of the weights; the record is not valid for other weights"""
    views: int = 1
    """number of views scored per image"""
    masks: int = 0
    """number of masks per view that decided the class; 0 for unmasked images"""
    combine: Literal["mixture", "product"] = "mixture"
    """how the passes were combined, see `inference.combine_log_probs`"""
    source: str
    """the data, as in `DataConfig`"""
    split: str
    """the split that T was fitted on"""
    data: str
    """fingerprint of its images and labels"""
    n: int
    """number of labelled images"""
    interval: tuple[float, float] | None = None
    """interval that holds T with a probability of about 95%; None in records of version 0.2.0"""
    nll_before: float
    """mean of -log p(label | x) at T = 1, in nats, on these images"""
    nll_after: float
    """the same at T"""
    sets: SetThreshold | None = None
    """which classes are in a prediction set; None in records of version 0.2.0, or if there were too few images"""
    ood: OODReference | None = None
    """None for a network without a density"""

    def __post_init__(self) -> None:
        if not (isinstance(self.temperature, int | float) and 0 < self.temperature < math.inf):
            raise ValueError(f"temperature is {self.temperature!r}, expected a positive, finite number")

    @property
    def is_uncertain(self) -> bool:
        """Whether the images say little about T: the ends of its interval differ by more than a factor of four."""
        return self.interval is not None and self.interval[1] > 4 * self.interval[0]

    @property
    def origin(self) -> str:
        """The data that T was fitted on, as a phrase."""
        return f"fitted on {self.source}, {self.split}"

    def write(self, path: Path) -> None:
        """Writes the JSON file."""
        write_text(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "CalibrationRecord":
        """Reads a file that `write` has written.

        Raises:
            InputError: If the file is damaged or has unknown fields; the message names the file and the remedy.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return from_json(cls, values)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{path}: not a valid calibration ({reason}); delete it or run `pixelbayes calibrate`"
            ) from error
