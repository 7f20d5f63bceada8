"""What is known of a sweep, read from its studies."""

import math
import os
import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from optuna.trial import FrozenTrial, TrialState
from scipy.stats import t as student

from pixelbayes.experiments.claim import command_line
from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.sweep.config import Direction, SweepConfig
from pixelbayes.experiments.sweep.importance import importance
from pixelbayes.experiments.sweep.phases import Phase, Repeats, Search
from pixelbayes.experiments.sweep.space import as_scalar
from pixelbayes.experiments.sweep.study import STATES, root, runs
from pixelbayes.metrics.repeats import pooled_deviation
from pixelbayes.report.sweep_record import (
    Comparison,
    GivenTrials,
    Importance,
    RepeatRecord,
    Span,
    State,
    SweepRecord,
    TrialRecord,
)

TABLE = "trials.csv"
BEST = "best.yaml"

SAMPLERS = {
    "tpe": "multivariate TPE",
    "gp": "Gaussian process",
    "random": "random settings",
    "grid": "all combinations",
}


def ranked_trials(search: Search) -> list[int]:
    """Numbers of the trials that were trained to their end and meet the constraints, the best first.

    Of several objectives: those that no other trial beats in all of them, by the first objective.
    """
    finished = [
        trials[-1]
        for trials in runs(search.study.trials()).values()
        if trials[-1].state == TrialState.COMPLETE
        and not trials[-1].user_attrs.get("infeasible")
        and trials[-1].user_attrs.get("origin") != "result"
    ]
    directions = list(search.config.directions.values())
    if len(directions) > 1:
        finished = [trial for trial in finished if not any(_dominates(other, trial, directions) for other in finished)]
    finished.sort(key=lambda trial: _signs(directions)[0] * trial.values[0])
    return [root(trial) for trial in finished]


def _signs(directions: Sequence[str]) -> list[int]:
    return [1 if each == "minimise" else -1 for each in directions]


def _dominates(one: FrozenTrial, other: FrozenTrial, directions: Sequence[str]) -> bool:
    pairs = [(sign * a, sign * b) for sign, a, b in zip(_signs(directions), one.values, other.values, strict=True)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def compare_repeats(values: Mapping[int, Sequence[float]], direction: str) -> list[Comparison]:
    """Compares trials by the results of further seeds, the best first.

    The seed with which a trial was found does not count, because the best of many trials was lucky. The standard
    deviation of a seed is taken to be the same for all trials, so it is pooled over them. The intervals are those of
    Student's t; that of a difference is Fisher's least significant difference.

    Args:
        values: The results of each trial.
        direction: "minimise" or "maximise".

    Returns:
        Empty without two results of some trial, which alone show what a seed changes.

    >>> first, second = compare_repeats({4: [0.90, 0.92], 7: [0.91, 0.93]}, "maximise")
    >>> first.number, second.as_good
    (7, True)
    """
    deviation, degrees = pooled_deviation(values.values())
    if not degrees:
        return []
    quantile = float(student.ppf(0.975, degrees))
    sign = _signs([direction])[0]
    means = {number: statistics.fmean(each) for number, each in values.items()}
    best, *_ = ranked = sorted(means, key=lambda number: sign * means[number])
    found = []
    for number in ranked:
        margin = quantile * deviation / math.sqrt(len(values[number]))
        between = quantile * deviation * math.sqrt(1 / len(values[number]) + 1 / len(values[best]))
        difference = means[number] - means[best]
        found.append(
            Comparison(
                number=number,
                mean=means[number],
                interval=(means[number] - margin, means[number] + margin),
                difference=difference,
                difference_interval=(difference - between, difference + between) if number != best else (0.0, 0.0),
                as_good=number == best or abs(difference) <= between,
            )
        )
    return found


def make_record(
    search: Search,
    repeats: Repeats,
    base: ExperimentConfig,
    config: SweepConfig,
    out: Path,
    remarks: Sequence[str] = (),
    given: GivenTrials | None = None,
) -> SweepRecord:
    """What is known of a sweep.

    Args:
        search: The search.
        repeats: The further seeds.
        base: The config of the trials.
        config: The config of the sweep.
        out: The folder of the sweep.
        remarks: For readers of the page.
        given: Trials with results from a table.
    """
    chains = runs(search.study.trials()).values()
    trials = [_trial_record(search, chain, out) for chain in chains if chain[0].user_attrs.get("origin") != "result"]
    repeated = [_repeat_record(repeats, chain, out) for chain in runs(repeats.study.trials()).values()]
    metric = next(iter(config.directions))
    values: dict[int, list[float]] = {}
    for each in repeated:
        if each.state == "finished" and metric in each.values:
            values.setdefault(each.number, []).append(each.values[metric])
    comparisons = compare_repeats(values, config.directions[metric]) if len(config.directions) == 1 else []
    ranked = ranked_trials(search)
    best = comparisons[0].number if comparisons else next(iter(ranked), None)
    limits = {"parameters": config.max_parameters, "seconds of training": config.max_seconds}
    finished = [trial for trial in trials if trial.state == "finished"]
    return SweepRecord(
        source=base.data.source,
        objectives={str(name): direction for name, direction in config.directions.items()},
        parameters={name: str(each) for name, each in search.space.items()},
        sampler=SAMPLERS[config.sampler],
        trials=tuple(trials),
        repeats=tuple(repeated),
        comparisons=tuple(comparisons),
        best=best,
        pareto=tuple(ranked) if len(config.directions) > 1 else (),
        importance=_importance(finished, search, metric, config.directions[metric]),
        constraints=tuple(f"at most {limit:,g} {name}" for name, limit in limits.items() if limit),
        given=given,
        command=command_line(),
        best_command=""
        if best is None
        else shlex.join(["pixelbayes", "train", "--config", str(out / BEST), "--out", f"{out}-best"]),
        config=base.as_yaml(),
        seconds=_active_seconds(
            [*(span for each in trials for span in each.spans), *(span for each in repeated for span in each.spans)]
        ),
        remarks=tuple(remarks),
    )


def _importance(
    finished: Sequence[TrialRecord], search: Search, metric: str, direction: Direction
) -> dict[str, Importance]:
    rows = [trial.settings for trial in finished]
    values = [trial.values[metric] for trial in finished]
    return importance(rows, values, direction, search.study.distributions)


def _trial_record(search: Search, chain: Sequence[FrozenTrial], out: Path) -> TrialRecord:
    last = chain[-1]
    attrs = last.user_attrs
    promoted = sum(trial.state == TrialState.PRUNED for trial in chain[:-1])
    return TrialRecord(
        number=chain[0].number,
        settings={name: as_scalar(value) for name, value in search.settings(last).items()},
        state=cast(State, STATES[last.state]),
        values=attrs.get("metrics", {}) if last.state.is_finished() else {},
        intervals={name: (low, high) for name, (low, high) in attrs.get("intervals", {}).items()},
        progress=tuple(sorted(last.intermediate_values.items())),
        spans=_spans(chain),
        reason=attrs.get("reason", ""),
        origin=attrs.get("origin", "search"),
        folder=_folder(search, attrs, out),
        resumed=len(chain) - 1 - promoted,
        promoted=bool(promoted),
        infeasible=attrs.get("infeasible", False),
    )


def _repeat_record(repeats: Repeats, chain: Sequence[FrozenTrial], out: Path) -> RepeatRecord:
    last = chain[-1]
    attrs = last.user_attrs
    return RepeatRecord(
        number=attrs["number"],
        seed=attrs["seed"],
        state=cast(State, STATES[last.state]),
        values=attrs.get("metrics", {}) if last.state.is_finished() else {},
        reason=attrs.get("reason", ""),
        spans=_spans(chain),
        folder=_folder(repeats, attrs, out),
    )


def _folder(phase: Phase, attrs: Mapping[str, Any], out: Path) -> str:
    """The run folder, relative to that of the sweep, which may have moved."""
    return os.path.relpath(phase.runs / attrs["folder"], out) if "folder" in attrs else ""


def _spans(chain: Sequence[FrozenTrial]) -> tuple[Span, ...]:
    return tuple(
        Span(
            worker=trial.user_attrs["worker"],
            start=trial.datetime_start.timestamp(),
            end=trial.datetime_complete.timestamp() if trial.datetime_complete else None,
        )
        for trial in chain
        if trial.datetime_start and "worker" in trial.user_attrs and trial.state != TrialState.WAITING
    )


def _active_seconds(spans: Sequence[Span]) -> float:
    """Length of the union of the spans that have ended."""
    total, reached = 0.0, -math.inf
    for start, end in sorted((span.start, span.end) for span in spans if span.end is not None):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
