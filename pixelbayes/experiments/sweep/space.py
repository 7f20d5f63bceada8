"""The search space of a sweep: the values that each searched field of the config may take."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.plan import with_fields
from pixelbayes.plots.trials import as_text
from pixelbayes.utils.config_fields import convert, field_types, short_names, suggest
from pixelbayes.utils.errors import InputError

Value = bool | int | float | str | tuple[Any, ...] | None
"""A value of a field."""

PER_RUN = ("seed", "data.source", "data.class_names", "data.validation_fraction", "data.test_fraction")
"""Fields that a sweep keeps: with other images or another seed, a better value can be luck."""

C = TypeVar("C", bound=ExperimentConfig)

FORM = "expected values such as 40,60,80 or a range such as 1e-4..3e-3:log"


@dataclass(frozen=True)
class Choice:
    """Some values.

    Args:
        values: At least one.
    """

    values: tuple[Value, ...]

    @property
    def is_ordered(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    def distribution(self) -> BaseDistribution:
        """Evenly spaced whole numbers are a range with a step, so that the search knows their order."""
        values = sorted(self.values) if self.is_ordered else []  # type: ignore[type-var]
        if len(values) > 1 and all(isinstance(value, int) for value in values):
            steps = {after - before for before, after in itertools.pairwise(values)}  # type: ignore[operator]
            if len(steps) == 1 and (step := steps.pop()):
                return IntDistribution(values[0], values[-1], step=step)  # type: ignore[arg-type]
        return CategoricalDistribution([as_scalar(value) for value in self.values])

    def ends(self) -> tuple[Value, ...]:
        """All values, to be checked."""
        return self.values

    def grid(self) -> list[Value]:
        return list(self.values)

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ",".join(value if isinstance(value, str) else json.dumps(value) for value in self.values)


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`.

    Args:
        low: The least.
        high: The largest.
        log: Whether the logarithm is uniform at first.
        step: Distance of neighbours; None for all real, or all whole, numbers.
        whole: Whether only whole numbers belong to it.

    Raises:
        InputError: If it is empty, or goes through zero with `log`.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(f"the range {self} is empty; give a low and a higher end")
        if self.log and self.low <= 0:
            raise InputError(f"the logarithmic range {self} goes through zero; give a low end above 0, or no log")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise InputError(f"the range {self} has a step of {self.step}; expected one that fits into it")
        if self.log and self.step is not None:
            raise InputError(f"the range {self} has both log and step; expected one of them")

    def distribution(self) -> BaseDistribution:
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def ends(self) -> tuple[Value, ...]:
        """The least and the largest number, to be checked."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def grid(self) -> list[Value]:
        """All numbers.

        Raises:
            InputError: If there are infinitely many.
        """
        step = self.step or (1 if self.whole else None)
        if step is None:
            raise InputError(f"the range {self} has no grid; give values, a step, or another sampler")
        numbers = [self.low + index * step for index in range(int((self.high - self.low) / step + 1e-9) + 1)]
        return [int(number) for number in numbers] if self.whole else list(numbers)

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-8)

    def __str__(self) -> str:
        return f"{self.low:.12g}..{self.high:.12g}" + ":log" * self.log + (f":step={self.step:g}" if self.step else "")


Values = Choice | Range
"""What a field may be."""

SearchSpace = dict[str, Values]
"""The searched fields, by dotted name."""


def as_scalar(value: Value) -> bool | int | float | str | None:
    """A value as Optuna stores it: a list, such as an image size, is JSON."""
    return json.dumps(value) if isinstance(value, tuple) else value


def from_scalar(value: Any, values: Values) -> Value:
    """The inverse of `as_scalar`."""
    if isinstance(values, Choice):
        return next((each for each in values.values if as_scalar(each) == value), value)
    return tidy(value) if isinstance(value, float) else value


def tidy(number: float) -> float:
    """The number without the rounding errors in its last digits.

    >>> tidy(0.1 + 2 * 0.1)
    0.3
    """
    return float(f"{number:.12g}")


def parse_param(text: str) -> tuple[str, Any]:
    """Splits NAME=VALUES, as on the command line, into the name and what `search_space` takes.

    Raises:
        InputError: If there is no name or no value.

    >>> parse_param("model.num_filters=40,60,80")
    ('model.num_filters', [40, 60, 80])
    >>> parse_param("training.learning_rate=1e-4..3e-3:log")
    ('training.learning_rate', '1e-4..3e-3:log')
    """
    name, equals, values = text.partition("=")
    if not (name.strip() and equals and values.strip()):
        raise InputError(f"--param {text}: {FORM}, after the name and an equals sign")
    if ".." in values:
        return name.strip(), values.strip()
    try:
        return name.strip(), yaml.safe_load(f"[{values}]")
    except yaml.YAMLError:
        raise InputError(f"--param {text}: the values cannot be read; {FORM}") from None


def search_space(parameters: Mapping[str, Any], base: ExperimentConfig) -> SearchSpace:
    """Reads and checks the values of all searched fields.

    Args:
        parameters: By dotted or short name: a list of values; a range as text, "LOW..HIGH" with ":log" or ":step=X"
            after it; or a range as a mapping with low, high, log and step.
        base: The config whose fields they are.

    Raises:
        InputError: If a name is unknown, or a value is not one of its field.
    """
    if not parameters:
        raise InputError("no field is searched; give at least one --param NAME=VALUES, or parameters in the file")
    types = field_types(type(base))
    names = short_names(types)
    space: SearchSpace = {}
    for given, values in parameters.items():
        name = names.get(given.replace("-", "_"), given.replace("-", "_"))
        if name not in types:
            raise InputError(f"unknown field {given}{suggest(given, [*names, *types])}")
        if name in PER_RUN or name.startswith("sweep."):
            raise InputError(
                f"{given} cannot be searched, because results with another value of it are not comparable; "
                "give one value as an option"
            )
        space[name] = _values(name, values, types[name])
    _check_values(space, base)
    return space


def with_values(base: C, values: Mapping[str, Value]) -> C:
    """The config with these values of the searched fields."""
    return with_fields(base, values)


def _values(name: str, given: Any, kind: Any) -> Values:
    if isinstance(given, str) and ".." in given:
        given = _range_options(name, given)
    if isinstance(given, Mapping):
        return _range(name, given, kind)
    listed = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not listed:
        raise InputError(f"{name} has no value; {FORM}")
    values = [convert(name, value, kind) for value in listed]
    if len(set(map(as_scalar, values))) < len(values):
        raise InputError(f"{name} has a value twice among {', '.join(map(as_text, values))}")
    return Choice(tuple(values))


def _range_options(name: str, text: str) -> dict[str, Any]:
    """The mapping of a range that is given as text."""
    ends, *options = text.split(":")
    low, _, high = ends.partition("..")
    found: dict[str, Any] = {"low": low, "high": high}
    for option in options:
        key, equals, value = option.partition("=")
        if (key, equals) not in (("log", ""), ("step", "=")):
            raise InputError(f"{name} is {text}: unknown option {option!r}; expected log or step=X")
        found[key] = value if equals else True
    return found


def _range(name: str, options: Mapping[str, Any], kind: Any) -> Range:
    if unknown := [key for key in options if key not in ("low", "high", "log", "step")]:
        raise InputError(f"{name} has {unknown[0]}, expected low, high, log and step")
    if missing := [key for key in ("low", "high") if key not in options]:
        raise InputError(f"{name} is a range without {missing[0]}; {FORM}")
    numeric = [each for each in (get_args(kind) or (kind,)) if each in (int, float)]
    if not numeric:
        raise InputError(f"{name} takes no numbers, so it has no range; give its values, such as A,B")
    number = {key: convert(f"{key} of {name}", options[key], numeric[0]) for key in options if key != "log"}
    try:
        return Range(**number, log=convert(f"log of {name}", options.get("log", False), bool), whole=numeric[0] is int)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _check_values(space: SearchSpace, base: ExperimentConfig) -> None:
    """Checks that each value is possible, at least together with some values of the other fields."""
    others = {name: [None, *values.ends()] for name, values in space.items()}  # None for that of the base
    for name, values in space.items():
        for value in values.ends():
            rest = (others[other] for other in space if other != name)
            faults = []
            for combination in itertools.islice(itertools.product(*rest), 256):
                chosen = dict(zip((other for other in space if other != name), combination, strict=True))
                fields = {other: each for other, each in chosen.items() if each is not None} | {name: value}
                try:
                    with_values(base, fields)
                    break
                except InputError as error:
                    faults.append(str(error))
            else:
                raise InputError(faults[0] if name.rpartition(".")[2] in faults[0] else f"{name}: {faults[0]}")
