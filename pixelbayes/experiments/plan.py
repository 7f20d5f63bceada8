"""What a config leaves open, decided by measurement before the run: precision, compilation and the learning rate."""

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import yaml
from torch.nn.functional import conv2d

from pixelbayes.evaluation.history import Row
from pixelbayes.experiments.config import RunConfig
from pixelbayes.training.launch import is_launched
from pixelbayes.utils.config_diff import flatten
from pixelbayes.utils.console import make_console
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.run_folder import RunFolder

if TYPE_CHECKING:  # these modules import Lightning, which takes seconds
    from pixelbayes.training.estimate import Cost
    from pixelbayes.training.module import NetworkModule

STEPS_WORTH_MEASURING = 1000  # in a shorter run measuring takes longer than it saves
SECONDS_WORTH_COMPILING = 3600.0
OPEN = (None, "auto")  # values of `training.precision` and `training.compile` that leave the choice to a measurement

FOUND = ("training.learning_rate", "training.muon_learning_rate", "training.find_learning_rate")
"""The fields that `find_learning_rate` decides."""

C = TypeVar("C", bound=RunConfig)
MakeModule = Callable[[C], "NetworkModule[Any, Any]"]
"""Makes what a config trains."""


def with_fields(config: C, values: Mapping[str, Any]) -> C:
    """A config with other values of the fields with these names, such as `training.epochs` and `seed`."""
    groups: dict[str, dict[str, Any]] = {}  # replaced together, as fields may depend on each other
    for name, value in values.items():
        group, _, field = name.rpartition(".")
        groups.setdefault(group, {})[field] = value
    own = groups.pop("", {})
    changed = {name: dataclasses.replace(getattr(config, name), **fields) for name, fields in groups.items()}
    return dataclasses.replace(config, **own, **changed)


def settle(config: C, make_module: MakeModule[C]) -> C:
    """A config whose precision and compilation are definite: the fastest, if the run is long enough to measure it.

    Args:
        config: The config.
        make_module: Makes what the config trains.
    """
    if not is_open(config):
        return config
    steps = config.training.epochs * make_module(config).steps_per_epoch
    if steps < STEPS_WORTH_MEASURING or is_launched():  # processes that measure for themselves could disagree
        return _decided(config, precision="float32", compile=False)
    return fastest(config, make_module)[0]


def is_open(config: RunConfig) -> bool:
    """Whether a config leaves precision or compilation open."""
    return any(getattr(config.training, name, "") in OPEN for name in ("precision", "compile"))


def adopt(config: C, run: Path, names: Collection[str] = ()) -> C:
    """The config of a run that was started, where this config leaves open what the run has decided.

    Args:
        config: The config.
        run: The run folder.
        names: Fields, by dotted name, that the run has decided too.
    """
    before = flatten(yaml.safe_load(RunFolder(run).config.read_text(encoding="utf-8")))
    if config.training.find_learning_rate:
        names = (*names, *FOUND)
    config = with_fields(config, {name: before[name] for name in names if name in before})
    found = {name: before.get(f"training.{name}") for name in ("precision", "compile")}
    return _decided(config, **{name: value for name, value in found.items() if value is not None})


def find_learning_rate(config: C, make_module: MakeModule[C]) -> tuple[C, list[Row]]:
    """A config with the learning rate that a range test finds, if it asks for one; and the loss at each rate tried.

    Args:
        config: The config, with a definite precision.
        make_module: Makes what the config trains.

    Raises:
        InputError: If the test finds no rate, or the processes of the run were started by `torchrun`.
    """
    training = config.training
    if not training.find_learning_rate:
        return config, []
    if is_launched():
        raise InputError(
            "find_learning_rate is true, which torchrun cannot do; find a rate with a run of one epoch on one device, "
            "and give it as learning_rate"
        )
    from pixelbayes.training.range_test import range_test

    factor, rows = range_test(make_module(config))
    rates = {name: getattr(training, name) for name in ("learning_rate", "muon_learning_rate")}
    if training.optimizer != "muon":
        del rates["muon_learning_rate"]
    found = {name: float(f"{rate * factor:.2g}") for name, rate in rates.items()}  # a test is no more exact than that
    said = " and ".join(f"{name} {rate:g}" for name, rate in found.items())
    make_console(stderr=True, highlight=False, soft_wrap=True).print(
        f"found {said} in a range test of {len(rows)} steps"
    )
    decided = {f"training.{name}": value for name, value in (found | {"find_learning_rate": False}).items()}
    return with_fields(config, decided), rows


def fastest(config: C, make_module: MakeModule[C], length: float | None = None) -> "tuple[C, Cost]":
    """The config with the fastest precision and compilation, where it leaves them open; and the cost of the run.

    Compiling takes minutes, so it is tried only if the run takes SECONDS_WORTH_COMPILING.

    Args:
        config: The config.
        make_module: Makes what the config trains.
        length: Seconds that the run will take; by default as measured.
    """
    from pixelbayes.training.estimate import estimate

    def measured(candidate: C) -> "tuple[C, Cost]":
        return candidate, estimate(make_module(candidate))

    def seconds(candidate: "tuple[C, Cost]") -> float:
        return candidate[1].training_seconds(candidate[0].training)

    names = _precisions(config) if config.training.precision in OPEN else (config.training.precision,)
    best = min((measured(_decided(config, precision=name)) for name in names), key=seconds)
    compiled, plain = (_decided(best[0], compile=value) for value in (True, False))
    is_said = compiled == plain  # the config says whether to compile
    if is_said or (length or seconds(best)) < SECONDS_WORTH_COMPILING:
        return plain, best[1]
    return min((plain, best[1]), measured(compiled), key=seconds)


def _precisions(config: RunConfig) -> tuple[str, ...]:
    """The precisions that may be the fastest on the device of a config."""
    device = pick_device(config.training.device)
    if device.type == "mps":
        return ("float32",)
    if device.type == "cuda":
        return ("float32", "bf16") if torch.cuda.is_bf16_supported() else ("float32",)
    # a CPU without instructions for bf16 is a hundred times slower; one convolution shows it at once
    single, half = (_convolution_seconds(dtype) for dtype in (torch.float32, torch.bfloat16))
    return ("float32", "bf16") if half < single else ("float32",)


def _convolution_seconds(dtype: torch.dtype) -> float:
    x, weight = torch.ones(1, 64, 32, 32, dtype=dtype), torch.ones(64, 64, 3, 3, dtype=dtype)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        conv2d(x, weight)
        times.append(time.perf_counter() - started)
    return min(times)


def _decided(config: C, **values: Any) -> C:
    """The config with these values of `training` where it leaves them open."""
    left_open = [name for name in values if getattr(config.training, name, "") in OPEN]
    return with_fields(config, {f"training.{name}": values[name] for name in left_open})
