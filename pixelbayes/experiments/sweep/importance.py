"""How much each setting matters, against luck."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from pixelbayes.experiments.sweep.config import DIRECTIONS, Direction, Metric
from pixelbayes.experiments.sweep.space import as_scalar
from pixelbayes.experiments.sweep.storage import quiet_optuna
from pixelbayes.experiments.sweep.trials_table import TrialsTable
from pixelbayes.report.sweep_record import GivenTrials, Importance, TrialRecord

MIN_TRIALS = 10
SHUFFLES = 100


@dataclass(frozen=True)
class _Codes:
    """The values of a parameter as Optuna receives them."""

    distribution: BaseDistribution
    values: dict[Any, Any]


def importance(
    rows: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    direction: Direction,
    distributions: Mapping[str, BaseDistribution] | None = None,
    seed: int = 0,
) -> dict[str, Importance]:
    """The importance of each parameter for the best trials, by PED-ANOVA (Watanabe et al., 2023).

    It compares how often the best trials, a tenth but at least five, have each value with how often all have it. Few
    trials differ by chance, too. Shuffled results show how much: all trials keep their settings, and the best ones are
    drawn at random. Both are given as shares of the sum over all parameters, unshuffled, so that one is above the other
    if and only if it is before the division. https://arxiv.org/abs/2304.10255

    Args:
        rows: The settings of each trial.
        values: The result of each trial.
        direction: Whether low or high results are good.
        distributions: Of parameters, by name. By default, and where values are outside, only the order of numbers
            counts.
        seed: Of the shuffles.

    Returns:
        By parameter, the most important first; empty if there are too few trials, or fewer than two parameters that
        differ among trials.
    """
    varied = _varied(rows)
    if len(rows) < MIN_TRIALS or len(varied) < 2:
        return {}
    codes = {name: _codes(observed, (distributions or {}).get(name)) for name, observed in varied.items()}
    trials = []
    for row in rows:
        here = {name: codes[name] for name in varied if name in row}
        trials.append(
            create_trial(
                params={name: code.values[as_scalar(row[name])] for name, code in here.items()},
                distributions={name: code.distribution for name, code in here.items()},
                value=0.0,
            )
        )
    evaluator = PedAnovaImportanceEvaluator(target_quantile=min(0.5, max(0.1, 5 / len(rows))))
    results = np.asarray(values, dtype=float) * (1 if direction == "minimise" else -1)
    generator = np.random.default_rng(seed)
    with quiet_optuna():
        study = optuna.create_study()
        study.add_trials(trials)

        def divergences(results: np.ndarray) -> dict[str, float]:
            return get_param_importances(
                study,
                evaluator=evaluator,
                params=list(varied),
                target=lambda trial: float(results[trial.number]),
                normalize=False,
            )

        found = divergences(results)
        shuffled = [divergences(generator.permutation(results)) for _ in range(SHUFFLES)]
    total = sum(found.values()) or 1.0
    by_luck = {name: float(np.quantile([each[name] for each in shuffled], 0.95)) for name in found}
    return {
        name: Importance(value=value / total, by_luck=min(1.0, by_luck[name] / total)) for name, value in found.items()
    }


def given_trials(table: TrialsTable, metric: Metric) -> GivenTrials:
    """The trials of a table that have results, and the importance of its columns for a metric.

    A column that changes nothing has an importance, too, which shows what luck does.
    """
    rows = [row for row in table.rows if row.results]
    measured = [row for row in rows if metric in row.results]
    found = importance(
        [row.settings | row.without_effect for row in measured],
        [row.results[metric] for row in measured],
        DIRECTIONS[metric],
    )
    labels = [row.label for row in rows]
    are_numbers = all(label.isdecimal() for label in labels) and len(set(labels)) == len(labels)
    trials = [
        TrialRecord(
            number=int(row.label) if are_numbers else position,
            settings={name: as_scalar(value) for name, value in (row.settings | row.without_effect).items()},
            state="finished",
            values=row.results,
            origin="result",
        )
        for position, row in enumerate(rows, start=1)
    ]
    without_effect = tuple(name for name in found if any(name in row.without_effect for row in measured))
    return GivenTrials(
        source=table.source, trials=tuple(trials), importance=found, without_effect=without_effect, metric=metric
    )


def _varied(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The values of each parameter that has more than one."""
    names = dict.fromkeys(name for row in rows for name in row)
    observed = {name: [as_scalar(row[name]) for row in rows if name in row] for name in names}
    return {name: values for name, values in observed.items() if len(set(values)) > 1}


def _codes(observed: Sequence[Any], given: BaseDistribution | None) -> _Codes:
    """The given distribution if it contains all values.

    Otherwise numbers are counted in their order. PED-ANOVA divides a range into equal cells, and if most trials of a
    table have the same value, a wide range has empty cells around the others, in which it sees importance.
    """
    values = dict.fromkeys(observed)
    if given is not None and all(_contains(given, value) for value in values):
        return _Codes(given, {value: value for value in values})
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return _Codes(CategoricalDistribution(list(values)), {value: value for value in values})
    return _Codes(IntDistribution(0, len(values) - 1), {value: rank for rank, value in enumerate(sorted(values))})


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        create_trial(params={"x": value}, distributions={"x": distribution}, value=0.0)
    except ValueError:
        return False
    return True
