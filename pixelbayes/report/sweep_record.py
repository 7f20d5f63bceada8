"""What is known of a sweep, as in its sweep.json: the trials, the repeats of the best ones, and what matters."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import from_json, write_text

State = Literal["waiting", "running", "finished", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A time in which a worker trained a run.

    Args:
        worker: Name of the worker: the machine, and its number there.
        start: Start, in seconds since 1970.
        end: End, in seconds since 1970; None if it still runs.
    """

    worker: str
    start: float
    end: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial.

    Args:
        number: Its number; that of its run folder too.
        settings: The searched fields, by dotted name, as plain values.
        state: "pruned" if successive halving stopped it, or a constraint did.
        values: What was measured on validation, by metric: "accuracy", "nll", "bits_per_dim", "fid", "parameters" and
            "seconds" (of training), those that were measured.
        intervals: 95% intervals of the values that have one.
        progress: (epoch, value of the first objective on validation), in order.
        spans: When, and where, it was trained.
        reason: Why it failed or was stopped; empty if neither.
        origin: "search" if the sampler chose the settings, "table" if they were given, "result" if the values were
            given too.
        folder: The run folder, relative to that of the sweep; empty if there is none.
        resumed: How often it was continued after an interruption.
        promoted: Whether it was continued after successive halving had stopped it.
        infeasible: Whether it violates a constraint.
    """

    number: int
    settings: dict[str, Any]
    state: State
    values: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    progress: tuple[tuple[int, float], ...] = ()
    spans: tuple[Span, ...] = ()
    reason: str = ""
    origin: Literal["search", "table", "result"] = "search"
    folder: str = ""
    resumed: int = 0
    promoted: bool = False
    infeasible: bool = False


@dataclass(frozen=True, kw_only=True)
class RepeatRecord:
    """Another run with the settings of a trial and another seed.

    Args:
        number: The number of the trial.
        seed: The seed.
        state: As of a trial.
        values: As of a trial.
        reason: As of a trial.
        spans: As of a trial.
        folder: As of a trial.
    """

    number: int
    seed: int
    state: State
    values: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    spans: tuple[Span, ...] = ()
    folder: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A repeated trial against the best one, over the further seeds.

    Args:
        number: The number of the trial.
        mean: Mean of the first objective over the further seeds.
        interval: 95% interval of the mean.
        difference: Mean less that of the best trial.
        difference_interval: Its 95% interval.
        as_good: Whether that interval holds 0, so that the two cannot be told apart; true of the best trial.
    """

    number: int
    mean: float
    interval: tuple[float, float]
    difference: float = 0.0
    difference_interval: tuple[float, float] = (0.0, 0.0)
    as_good: bool = True


@dataclass(frozen=True, kw_only=True)
class Importance:
    """How much a parameter matters.

    Args:
        value: Its share of the importance, 0 to 1 (PED-ANOVA).
        by_luck: What shuffled results give in 95 of 100 cases at most.
    """

    value: float
    by_luck: float


@dataclass(frozen=True, kw_only=True)
class GivenTrials:
    """Trials with results from a table of the user's.

    Args:
        source: The file.
        trials: The trials; their settings may hold columns that are no fields.
        importance: By column.
        without_effect: Columns that change nothing that is measured, so their importance is luck.
        metric: The metric that importance is about.
    """

    source: str
    trials: tuple[TrialRecord, ...]
    importance: dict[str, Importance]
    without_effect: tuple[str, ...] = ()
    metric: str = ""


@dataclass(frozen=True, kw_only=True)
class SweepRecord:
    """A sweep.

    Args:
        source: The data.
        objectives: Direction by metric; the first one prunes and orders the trials.
        parameters: The values of each searched field, as text, by dotted name.
        sampler: How settings were chosen.
        trials: In the order of their numbers.
        repeats: The best trials with further seeds.
        comparisons: The repeated trials, the best first.
        best: Number of the best trial: of the repeats if there are any, else of the trials; None if none has finished.
        pareto: Numbers of the trials that no other one beats in all objectives; of several objectives only.
        importance: By field; empty if there are too few trials.
        constraints: What trials had to meet, as text.
        given: Trials with results that were given, if any.
        command: The command of the sweep.
        best_command: The command that trains the best.
        config: The config that the searched fields are part of, as YAML.
        seconds: Time since the sweep was first started, less the time in which nothing ran.
        remarks: More to know.
    """

    source: str
    objectives: dict[str, Literal["minimise", "maximise"]]
    parameters: dict[str, str]
    sampler: str
    trials: tuple[TrialRecord, ...] = ()
    repeats: tuple[RepeatRecord, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    best: int | None = None
    pareto: tuple[int, ...] = ()
    importance: dict[str, Importance] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    given: GivenTrials | None = None
    command: str = ""
    best_command: str = ""
    config: str = ""
    seconds: float = 0.0
    remarks: tuple[str, ...] = ()

    @property
    def metric(self) -> str:
        """The first objective."""
        return next(iter(self.objectives))

    @property
    def finished(self) -> list[TrialRecord]:
        """The trials that were trained to their end and meet the constraints."""
        return [trial for trial in self.trials if trial.state == "finished" and not trial.infeasible]

    def write(self, path: Path) -> None:
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "SweepRecord":
        """Reads a sweep.json.

        Raises:
            InputError: If it cannot be read, or is none.
        """
        try:
            record = from_json(cls, json.loads(path.read_text(encoding="utf-8")))
            if not isinstance(record.objectives, dict) or not record.objectives:
                raise ValueError("no objectives")
            for kind, found in {TrialRecord: record.trials, RepeatRecord: record.repeats}.items():
                if not all(isinstance(each, kind) for each in found):
                    raise ValueError(f"no {kind.__name__}")
            return record
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not the record of a sweep ({error}); repeat the sweep's command") from error
