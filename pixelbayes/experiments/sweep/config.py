"""The config of a sweep."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError, check_fields

Metric = Literal["nll", "accuracy", "bits_per_dim", "fid"]
Direction = Literal["minimise", "maximise"]

DIRECTIONS: dict[Metric, Direction] = {
    "nll": "minimise",
    "accuracy": "maximise",
    "bits_per_dim": "minimise",
    "fid": "minimise",
}


@documented
@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """What a sweep searches, and for what.

    Raises:
        InputError: If a value is out of its range, or fields contradict each other.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    """searched fields in a YAML file: a list of values, or low and high, with log: true or step"""
    metric: Metric = "nll"
    """what is searched for, on validation: nll is the negative log-likelihood of the class after temperature scaling"""
    objectives: tuple[Metric, ...] = ()
    """several metrics instead, for the trials that no other one beats in all of them; nothing is pruned then"""
    sampler: Literal["tpe", "gp", "random", "grid"] = "tpe"
    """multivariate TPE, a Gaussian process, random settings, or all combinations of values"""
    trials: int = 30
    """number of trials; grid has no more than its combinations"""
    budget: str = ""
    """such as 45m or 2h: no trial starts that would not end in time, and at the end those that run are saved"""
    workers: int = 0
    """number of trials at a time; 0 for one per core, or per GPU"""
    prune: bool = True
    """stop trials early by successive halving; not with several objectives, nor with fid"""
    min_epochs: int = 0
    """number of epochs before the first halving; 0 for a ninth of all epochs"""
    reduction_factor: int = 3
    """at each halving one in so many trials goes on, and so many times the epochs follow, at least 2"""
    max_parameters: int = 0
    """constraint: number of learned parameters, at most; 0 for none"""
    max_seconds: float = 0.0
    """constraint: seconds of training of a trial, at most; 0 for none"""
    repeat_best: int = 3
    """number of the best trials that are trained again with further seeds; 0 for none"""
    repeat_seeds: int = 2
    """number of further seeds"""
    samples: int = 25
    """number of samples per class for fid"""
    storage: str = ""
    """URL of a database that several machines share, such as postgresql+psycopg://user@host/name; by default a journal
    in the folder of the sweep"""
    name: str = ""
    """name of the sweep in the database; by default that of its folder"""
    runs: str = ""
    """folder of the run folders, such as one on a local disk; by default inside that of the sweep, which otherwise
    receives the best run"""
    heartbeat: int = 30
    """seconds between signs of life in the database; a trial without one for three times that is taken up again"""

    def __post_init__(self) -> None:
        at_least_0 = ("trials", "workers", "min_epochs", "max_parameters", "max_seconds", "repeat_best")
        check_fields(self, at_least_0, lambda n: n >= 0, "0 or more")
        check_fields(self, ("repeat_seeds", "samples", "heartbeat"), lambda n: n >= 1, "at least 1")
        check_fields(self, ("reduction_factor",), lambda n: n >= 2, "at least 2")
        if len(set(self.objectives)) < len(self.objectives):
            raise InputError(f"an objective occurs twice among {', '.join(self.objectives)}")

    @property
    def directions(self) -> dict[Metric, Direction]:
        """Direction by metric, the first objective first."""
        return {name: DIRECTIONS[name] for name in self.objectives or (self.metric,)}

    @property
    def prunes(self) -> bool:
        """Whether trials are stopped early: by a metric that is measured after every epoch."""
        return self.prune and list(self.directions) not in ([], ["fid"]) and len(self.directions) == 1


@documented
@dataclass(frozen=True, kw_only=True)
class SweepRunConfig(ExperimentConfig):
    """The config that a sweep starts from, and the sweep."""

    sweep: SweepConfig = field(default_factory=SweepConfig)
    """the sweep"""

    @property
    def base(self) -> ExperimentConfig:
        """The config that the searched fields are part of."""
        names = [each.name for each in fields(ExperimentConfig)]
        return ExperimentConfig(**{name: getattr(self, name) for name in names})
