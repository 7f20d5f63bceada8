"""Reads the sweep configurations of Weights & Biases."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.plan import with_fields
from pixelbayes.experiments.sweep.config import DIRECTIONS, SweepConfig, SweepRunConfig
from pixelbayes.experiments.sweep.course_names import RESULTS, TYPES, results_of, said_unknown, translate
from pixelbayes.experiments.sweep.space import search_space, tidy
from pixelbayes.utils.config_fields import convert, suggest
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import read_yaml

FORM = "https://docs.wandb.ai/models/sweeps/sweep-config-keys shows the form"

SAMPLERS = {"bayes": "tpe", "random": "random", "grid": "grid"}

IGNORED = {
    **dict.fromkeys(("program", "command", "job", "image_uri"), "the sweep trains with pixelbayes"),
    **dict.fromkeys(("project", "entity", "controller"), "no service is asked"),
    **dict.fromkeys(("name", "description"), "the folder of the sweep names it"),
    **dict.fromkeys(("apiVersion", "kind"), "there is one version of the format"),
}
"""Keys that change no result, and why."""

READ = ("method", "metric", "parameters", "early_terminate", "run_cap")

KEYS = {
    "constant": ("value",),
    "categorical": ("values", "probabilities"),
    "categorical_w_probabilities": ("values", "probabilities"),
    **dict.fromkeys(("int_uniform", "uniform"), ("min", "max")),
    **dict.fromkeys(("log_uniform", "log_uniform_values"), ("min", "max")),
    **dict.fromkeys(("inv_log_uniform", "inv_log_uniform_values"), ("min", "max")),
    **dict.fromkeys(("q_uniform", "q_log_uniform", "q_log_uniform_values"), ("min", "max", "q")),
    **dict.fromkeys(("normal", "log_normal"), ("mu", "sigma")),
    **dict.fromkeys(("q_normal", "q_log_normal"), ("mu", "sigma", "q")),
    "beta": ("a", "b"),
    "q_beta": ("a", "b", "q"),
}
"""The keys of a parameter beside its distribution, by distribution."""


@dataclass(frozen=True)
class WandbSweep:
    """What a file says.

    Args:
        parameters: The searched fields by dotted name, as `search_space` takes them.
        fixed: The values of other fields, by dotted name.
        options: The values of fields of `SweepConfig` that the file decides.
        remarks: How it was understood and what is ignored, one sentence each.
    """

    parameters: dict[str, Any]
    fixed: dict[str, Any]
    options: dict[str, Any]
    remarks: tuple[str, ...]


def read_wandb_sweep(path: Path, base: ExperimentConfig) -> WandbSweep:
    """Reads a sweep configuration of Weights & Biases, in YAML.

    Args:
        path: The file.
        base: The config that the sweep starts from.

    Raises:
        InputError: If something in the file is unknown, contradicts itself, or has no counterpart here; the message has
            one line per fault.
    """
    reader = _Reader(read_yaml(path, FORM), base)
    if reader.faults:
        raise InputError.listing([f"{path}: {fault}" for fault in reader.faults])
    try:
        space = search_space(reader.parameters, with_fields(base, reader.fixed))
        if reader.options["sampler"] == "grid" and "trials" not in reader.options:
            reader.options["trials"] = math.prod(len(values.grid()) for values in space.values())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return WandbSweep(reader.parameters, reader.fixed, reader.options, tuple(reader.remarks))


def with_wandb_sweep(
    config: SweepRunConfig, path: Path, given: Collection[str] = ()
) -> tuple[SweepRunConfig, tuple[str, ...]]:
    """A config with what a sweep configuration of Weights & Biases says, and what readers of the page must know.

    Args:
        config: The config that the sweep starts from.
        path: The file, as of `read_wandb_sweep`.
        given: Dotted names of fields that keep their values.

    Raises:
        InputError: As of `read_wandb_sweep`.
    """
    found = read_wandb_sweep(path, config.base)
    options = {f"sweep.{name}": value for name, value in (found.options | {"parameters": found.parameters}).items()}
    changed = {name: value for name, value in (found.fixed | options).items() if name not in given}
    return with_fields(config, changed), found.remarks


class _Reader:
    """Collects what a file says, and the faults in it."""

    def __init__(self, plain: Mapping[str, Any], base: ExperimentConfig):
        self.plain, self.base = plain, base
        self.parameters: dict[str, Any] = {}
        self.fixed: dict[str, Any] = {}
        self.options: dict[str, Any] = {}
        self.remarks: list[str] = []
        self.faults: list[str] = []
        self._keys()
        self._method()
        self._metric()
        self._run_cap()
        given = self._mapping("parameters", plain.get("parameters"))
        if given is not None:
            self._fields(self._flatten(given, "parameters"))
        self._early_terminate()

    def _keys(self) -> None:
        for key in self.plain:
            if key in IGNORED:
                self.remarks.append(f"{key} is ignored, because {IGNORED[key]}")
            elif key not in READ:
                self.faults.append(f"unknown key {key}{suggest(str(key), [*READ, *IGNORED], FORM)}")

    def _mapping(self, key: str, value: Any) -> Mapping[str, Any] | None:
        if isinstance(value, Mapping) and value:
            return value
        said = f"there is no {key}" if value is None else f"{key} is {value!r}, expected keys and values below it"
        self.faults.append(f"{said}; {FORM}")
        return None

    def _method(self) -> None:
        method = self.plain.get("method")
        if str(method) in SAMPLERS:
            self.options["sampler"] = SAMPLERS[str(method)]
            if method == "bayes":
                self.remarks.append("method bayes is the sampler tpe; --sampler gp is a Gaussian process")
        else:
            problem = "there is no method" if method is None else f"method is {method!r}"
            self.faults.append(f"{problem}, expected bayes, random or grid")

    def _metric(self) -> None:
        if "metric" not in self.plain:
            if self.plain.get("method") == "bayes" or "early_terminate" in self.plain:
                self.faults.append("there is no metric; write its name, and the goal minimize or maximize")
            else:
                self.remarks.append(f"there is no metric, so the sweep searches for {SweepConfig.metric}")
            return
        given = self._mapping("metric", self.plain["metric"])
        if given is None:
            return
        name, goal = str(given.get("name")), given.get("goal", "minimize")
        metric = results_of([name]).get(name)
        if metric is None:
            known = ", ".join(each for names in RESULTS.values() for each in names)
            self.faults.append(f"metric is {name}, which is not measured on validation; expected one of {known}")
            return
        self.options["metric"] = metric
        if metric != name:
            self.remarks.append(f"{name} is {metric}, on validation")
        needed = "minimize" if DIRECTIONS[metric] == "minimise" else "maximize"
        if goal != needed:
            said = f"goal {goal}" if "goal" in given else "no goal, which means minimize"
            better = "lower" if needed == "minimize" else "higher"
            self.faults.append(f"metric {name} has {said}, but {better} is better; write goal: {needed}")
        for key in given:
            if key in ("target", "impute", "impute_while_running"):
                self.remarks.append(f"{key} of metric is ignored, because the sweep does not have it")
            elif key not in ("name", "goal"):
                self.faults.append(f"unknown key {key} of metric{suggest(str(key), ['name', 'goal'], FORM)}")

    def _run_cap(self) -> None:
        if "run_cap" in self.plain:
            self._option("trials", "run_cap", self.plain["run_cap"], least=1)
        elif self.plain.get("method") != "grid":
            self.remarks.append(
                f"there is no run_cap, so --trials says how many there are, by default {SweepConfig.trials}"
            )

    def _option(self, field: str, key: str, value: Any, least: int) -> None:
        if _is_whole(value) and value >= least:
            self.options[field] = int(value)
        else:
            self.faults.append(f"{key} is {value!r}, expected a whole number of at least {least}")

    def _early_terminate(self) -> None:
        if "early_terminate" not in self.plain:
            self.options["prune"] = False
            self.remarks.append("there is no early_terminate, so no trial is stopped early; --prune true does")
            return
        given = self._mapping("early_terminate", self.plain["early_terminate"])
        if given is None:
            return
        known = ("type", "min_iter", "max_iter", "s", "eta", "strict")
        for key in given:
            if key not in known:
                self.faults.append(f"unknown key {key} of early_terminate{suggest(str(key), known, FORM)}")
        if given.get("type") != "hyperband":
            self.faults.append(f"type of early_terminate is {given.get('type')!r}, expected hyperband")
        self.options["prune"] = True
        eta = given.get("eta", 3)
        self._option("reduction_factor", "eta of early_terminate", eta, least=2)
        if "max_iter" in given and "reduction_factor" in self.options:
            self._from_max_iter(given["max_iter"], given.get("s"), eta)
        elif "max_iter" not in given:
            self._option("min_epochs", "min_iter of early_terminate", given.get("min_iter"), least=1)
        if "min_epochs" in self.options:
            self.remarks.append(
                f"trials are first halved after epoch {self.options['min_epochs']}; the iterations of early_terminate "
                "are epochs here"
            )
        if "strict" in given:
            self.remarks.append("strict of early_terminate is ignored, because successive halving is always strict")
        if self.options.get("metric") == "fid":
            self.remarks.append("no trial is stopped early, because FID is measured after the last epoch only")

    def _from_max_iter(self, max_iter: Any, steps: Any, eta: int) -> None:
        if not (_is_whole(max_iter) and _is_whole(steps) and max_iter >= eta and steps >= 1):
            self.faults.append(
                f"early_terminate has max_iter {max_iter!r} and s {steps!r}, expected whole numbers of at least {eta}, "
                "which is eta, and 1"
            )
            return
        bands = [int(max_iter / eta**step) for step in range(1, int(steps) + 1) if max_iter / eta**step >= 1]
        self.options["min_epochs"] = bands[-1]
        epochs = self.fixed.get("training.epochs", self.base.training.epochs)
        if "training.epochs" in self.parameters or epochs != max_iter:
            self.remarks.append("trials are halved until their last epoch, whatever max_iter says")

    def _flatten(self, given: Mapping[str, Any], prefix: str) -> dict[str, Mapping[str, Any]]:
        """The parameters by name; those of a group have dotted names."""
        found: dict[str, Mapping[str, Any]] = {}
        for name, options in given.items():
            options = self._mapping(f"{prefix}.{name}", options)
            if options is None:
                continue
            if "parameters" in options:
                inner = self._mapping(f"{prefix}.{name}.parameters", options["parameters"])
                nested = self._flatten(inner, f"{prefix}.{name}.parameters") if inner else {}
                found |= {f"{name}.{each}": value for each, value in nested.items()}
            else:
                found[str(name)] = options
        return found

    def _fields(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        found = translate(given)
        self.faults += [said_unknown(name) for name in found.unknown]
        self.remarks += [
            f"{name} is ignored, because it says {what} and changes no result"
            for name, what in found.without_effect.items()
        ]
        first: dict[str, str] = {}
        for name, field in found.fields.items():
            if first.setdefault(field, name) != name:
                self.faults.append(f"{first[field]} and {name} are both {field}; remove one")
                continue
            try:
                self._field(name, field, given[name])
            except InputError as error:
                self.faults.append(str(error))
        self.fixed |= found.implied(self.base)
        self.remarks += found.remarks(self.base)

    def _field(self, name: str, field: str, options: Mapping[str, Any]) -> None:
        """Reads the values of a field.

        Raises:
            InputError: If they are faulty, or have no counterpart.
        """
        distribution = str(options.get("distribution") or _implied_distribution(options))
        if distribution not in KEYS:
            said = f"has distribution {distribution}" if distribution else "has neither values nor min and max"
            raise InputError(f"{name} {said}; {FORM}")
        keys = KEYS[distribution]
        if unknown := [key for key in options if key not in (*keys, "distribution")]:
            raise InputError(f"{name} has {unknown[0]}, expected {' and '.join(keys)} with {distribution}")
        if missing := [key for key in keys if key in ("value", "values", "min", "max") and key not in options]:
            raise InputError(f"{name} has distribution {distribution} without {missing[0]}; write it")
        if "value" in keys:
            self.fixed[field] = convert(name, options["value"], TYPES[field])
        elif "values" in keys:
            values = options["values"]
            if not isinstance(values, list) or not values:
                raise InputError(f"values of {name} is {values!r}, expected a list of values")
            if len(values) == 1:
                self.fixed[field] = convert(name, values[0], TYPES[field])
            else:
                self.parameters[field] = values
            if "probabilities" in options:
                self.remarks.append(f"probabilities of {name} is ignored, because at first all values are alike")
        elif "min" in keys:
            numbers = {key: _number(f"{key} of {name}", options[key]) for key in keys if key in options}
            self.parameters[field] = self._range(name, field, distribution, **numbers)
        else:
            raise InputError(_without_ends(name, distribution, options))

    def _range(self, name: str, field: str, distribution: str, min: float, max: float, q: float = 1) -> dict[str, Any]:
        """The range as `search_space` takes it."""
        low, high = min, max
        log = "log" in distribution
        if log and not distribution.endswith("_values"):
            if "inv" in distribution:  # the exponents are those of 1 / x
                low, high = -max, -min
            try:
                low, high = tidy(math.exp(low)), tidy(math.exp(high))
            except OverflowError:
                raise InputError(
                    f"{name} has {distribution} with the exponents of e {min:g} and {max:g}; log_uniform_values takes "
                    "the ends themselves"
                ) from None
            self.remarks.append(f"{name} goes from {low:g} to {high:g}, because {distribution} has exponents of e")
        found: dict[str, Any] = {"low": low, "high": high} | ({"log": True} if log else {})
        is_whole = int in (TYPES[field], *get_args(TYPES[field]))
        if distribution.startswith("q_"):
            if q <= 0:
                raise InputError(f"q of {name} is {q:g}, expected a number above 0")
            found |= {"low": tidy(round(low / q) * q), "high": tidy(round(high / q) * q)}
            if not (is_whole and q == 1):
                found["step"] = q
                if found.pop("log", False):
                    self.remarks.append(f"{name} is searched evenly in steps of {q:g}, not by its logarithm")
        elif distribution == "int_uniform" and not is_whole:
            found["step"] = 1
            self.remarks.append(
                f"{name} takes whole numbers only, because both ends are; with a decimal point it takes all numbers"
            )
        elif is_whole and distribution != "int_uniform":
            self.remarks.append(f"{name} takes whole numbers only, because {field} does")
            if log and not (_is_whole(low) and _is_whole(high)):
                found |= {"low": round(low), "high": round(high)}
        return {key: int(each) if is_whole and _is_whole(each) else each for key, each in found.items()}


def _implied_distribution(options: Mapping[str, Any]) -> str:
    if "value" in options:
        return "constant"
    if "values" in options:
        return "categorical"
    if "min" not in options and "max" not in options:
        return ""
    ends = (options.get("min"), options.get("max"))
    return "int_uniform" if all(isinstance(end, int) for end in ends) else "uniform"


def _without_ends(name: str, distribution: str, options: Mapping[str, Any]) -> str:
    """The fault of a distribution that has no counterpart, and a range that holds most of it."""
    mu, sigma = (_number(f"{key} of {name}", options.get(key, default)) for key, default in (("mu", 0), ("sigma", 1)))
    low, high = (0.0, 1.0) if distribution.endswith("beta") else (mu - 2 * sigma, mu + 2 * sigma)
    counterpart = "log_uniform" if "log" in distribution else "uniform"
    return (
        f"{name} has distribution {distribution}, which has no counterpart; write distribution: {counterpart}, such as "
        f"with min: {float(low)} and max: {float(high)}"
    )


def _number(name: str, value: Any) -> float:
    """A finite number; a whole one may be an int. YAML takes 1e-4 for text.

    Raises:
        InputError: If it is none.
    """
    number: float = value if isinstance(value, int) and not isinstance(value, bool) else convert(name, value, float)
    if not math.isfinite(number):
        raise InputError(f"{name} is {number}, expected a finite number")
    return number


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
