"""The page of a sweep, and its table of trials."""

import re
from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from statistics import stdev
from typing import Any

from pixelbayes.metrics.registry import METRICS
from pixelbayes.metrics.repeats import pooled_deviation
from pixelbayes.plots import (
    Bar,
    learning_curves,
    optimization_history,
    parallel_coordinates,
    parameter_importance,
    parameter_slice,
    pareto_front,
    trial_timeline,
)
from pixelbayes.plots.layout import shorten
from pixelbayes.plots.trials import as_text, short_names
from pixelbayes.report.page import Card, CodeBlock, Page, Picture, Section, Table, in_part
from pixelbayes.report.sweep_record import Importance, State, SweepRecord, TrialRecord
from pixelbayes.utils.files import csv_text

ROWS = 200  # of the table of trials on the page
COSTS = {"parameters": "parameters", "seconds": "seconds of training"}  # headings of values that are no metrics
OPTIONAL = (
    "epochs_trained",
    "resumed",
    "promoted",
    "infeasible",
    "reason",
    "folder",
)  # left out on the page if all are empty
STATES: tuple[State, ...] = ("finished", "pruned", "failed", "running", "waiting")


def sweep_page(record: SweepRecord) -> Page:
    """The page of a sweep, which may still run."""
    return Page(
        title=record.source,
        summary=sweep_summary(record),
        kicker="Sweep",
        cards=sweep_cards(record),
        sections=sweep_sections(record),
    )


def sweep_summary(record: SweepRecord) -> str:
    """What was searched for, in one line."""
    ends = {"minimise": "lowest", "maximise": "highest"}
    aims = " and the ".join(f"{ends[direction]} {_title(key)}" for key, direction in record.objectives.items())
    return f"Search for the {aims} on validation, over {_count(len(record.parameters), 'field')}"


def sweep_cards(record: SweepRecord) -> list[Card]:
    """The best value, the numbers of trials, and the time."""
    cards = []
    best = _best(record)
    if best is not None:
        cards.append(_best_card(record, best))
    counts = {state: sum(trial.state == state for trial in record.trials) for state in STATES}
    others = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count and state != "finished")
    note = f"of {_count(len(record.trials), 'trial')}" + (f"; {others}" if others else "")
    cards.append(Card("Finished trials", f"{counts['finished']:,}", note))
    if record.repeats:
        finished = sum(repeat.state == "finished" for repeat in record.repeats)
        note = f"of {_count(len(record.repeats), 'run')} of the best trials"
        cards.append(Card("Further seeds", f"{finished:,}", note))
    if record.seconds:
        trained = sum(span.end - span.start for each in _runs(record) for span in each.spans if span.end is not None)
        note = f"{_duration(trained)} of training, over all workers" if trained else ""
        cards.append(Card("Time", _duration(record.seconds), note))
    return cards


def sweep_sections(record: SweepRecord, name: str = "") -> list[Section]:
    """The sections that are not empty.

    Args:
        record: The sweep.
        name: Its name, if the page has other parts.
    """
    own = [
        Section("Remarks", "; ".join(remark.rstrip(".") for remark in record.remarks) + "." * bool(record.remarks)),
        _best_section(record),
        _comparison_section(record),
        Section("Optimization history", pictures=_history(record)),
        Section("Pareto front", pictures=_pareto(record)),
        _importance_section(record),
        _slice_section("Slices", _slices(record)),
        Section("Parallel coordinates", pictures=_parallel(record)),
        Section("Learning curves", pictures=_curves(record)),
        Section("Workers", pictures=_timeline(record)),
        _failure_section(record),
        _trial_section(record),
        _search_section(record),
    ]
    part = name or ("The sweep" if record.given else "")
    return in_part(part, own) + in_part(f"{name}, given results" if name else "Given results", _given_sections(record))


def trials_csv(record: SweepRecord) -> str:
    """The trials as the text of a csv file, one row a trial; at the end those whose results were given."""
    given = record.given.trials if record.given else ()
    return csv_text(trial_rows(record, [*record.trials, *given]))


def trial_rows(record: SweepRecord, trials: Sequence[TrialRecord]) -> list[list[Any]]:
    """The trials below a header. Values that nobody measured have no column."""
    fields = list(dict.fromkeys([*record.parameters, *(name for trial in trials for name in trial.settings)]))
    measured = _measured(trials, record.objectives)
    keys = {key: any(key in trial.intervals for trial in trials) for key in measured}
    header = ["number", "state", *fields]
    for key, has_interval in keys.items():
        header += [key, f"{key}_low", f"{key}_high"] if has_interval else [key]
    rows: list[list[Any]] = [
        [*header, "epochs_trained", "origin", "resumed", "promoted", "infeasible", "reason", "folder"]
    ]
    for trial in trials:
        row: list[Any] = [trial.number, trial.state]
        row += [_as_cell(trial.settings[name]) if name in trial.settings else "" for name in fields]
        for key, has_interval in keys.items():
            row += [trial.values.get(key, ""), *(trial.intervals.get(key, ("", "")) if has_interval else ())]
        row += [_epochs(trial), trial.origin, trial.resumed, _yes(trial.promoted), _yes(trial.infeasible)]
        rows.append([*row, trial.reason, trial.folder])
    return rows


# The best trial


def _best_card(record: SweepRecord, best: TrialRecord) -> Card:
    key = record.metric
    name = f"Best {_title(key)}"
    found = next((each for each in record.comparisons if each.number == best.number), None)
    if found is not None:
        seeds = _count(len(_repeated_values(record).get(best.number, [])), "further seed")
        note = f"trial {best.number}, mean of {seeds}, 95% interval {_interval(key, found.interval)}"
        return Card(name, _format(key, found.mean), note)
    note = f"trial {best.number}"
    if key in best.intervals:
        note += f", 95% interval {_interval(key, best.intervals[key])}"
    return Card(name, _format(key, best.values[key]), f"{note}; the best of many may be luck")


def _best_section(record: SweepRecord) -> Section:
    best = _best(record)
    if best is None:
        return Section("Best trial")
    settings = Table(
        [[name, _shown(best.settings.get(name, ""))] for name in record.parameters or best.settings],
        ["field", "value"],
        f"Settings of trial {best.number}.",
        numeric=False,
    )
    values = Table(
        [[_heading(key), _cell(key, best)] for key in _measured([best], record.objectives)],
        ["measured", "value"],
        "On validation, with 95% intervals where there are any.",
    )
    code = [CodeBlock(record.best_command, "Train it")] if record.best_command else []
    return Section("Best trial", tables=[settings, values], code=code)


def _comparison_section(record: SweepRecord) -> Section:
    title = "Further seeds"
    if not record.comparisons:
        return Section(title)
    key, seeds = record.metric, _repeated_values(record)
    rows = []
    for each in record.comparisons:
        mean = f"{_format(key, each.mean)} [{_interval(key, each.interval, ', ')}]"
        ends = ", ".join(_signed(key, end) for end in each.difference_interval)
        against = [f"{_signed(key, each.difference)} [{ends}]", "cannot be told apart" if each.as_good else "worse"]
        against = ["", "best"] if each.number == record.best else against
        rows.append([f"{each.number}", f"{len(seeds.get(each.number, []))}", mean, *against])
    columns = ["trial", "seeds", f"{_heading(key)}, mean", "difference to the best", "against the best"]
    caption = "Means over further seeds, with 95% intervals. The value that a trial was chosen for is not among them."
    return Section(title, _verdict(record), tables=[Table(rows, columns, caption)])


def _verdict(record: SweepRecord) -> str:
    """Which trials the further seeds can tell from the best one."""
    others = [each for each in record.comparisons if each.number != record.best]
    alike = [each.number for each in others if each.as_good]
    if not others:
        return f"Only trial {record.best} was trained again, so there is nothing to compare it with."
    if not alike:
        beaten = _named([each.number for each in others])
        return f"Trial {record.best} is better than {beaten}: no interval of a difference holds 0."
    text = (
        f"{_named(alike, capital=True)} cannot be told apart from trial {record.best}, the best one: the interval of "
        f"{'the difference' if len(alike) == 1 else 'each difference'} holds 0."
    )
    worse = [each.number for each in others if not each.as_good]
    return f"{text} {_named(worse, capital=True)} {'is' if len(worse) == 1 else 'are'} worse." if worse else text


# Figures


def _history(record: SweepRecord) -> list[Picture]:
    key = record.metric
    values = [_value(record, trial) for trial in record.trials]
    if not _known(values):
        return []
    figure = optimization_history(
        [trial.number for trial in record.trials],
        values,
        _states(record.trials),
        intervals=[trial.intervals.get(key) for trial in record.trials],
        best=record.best,
        **_axis(record),
    )
    caption = (
        "Each trial on validation, with its 95% interval if there is one. A pruned trial has the value at which it was "
        "stopped; a triangle at the edge is a value beyond it."
    )
    return [Picture.of(figure, f"Trials by number: {_title(key)} of each one, and the best so far.", caption)]


def _pareto(record: SweepRecord) -> list[Picture]:
    trials = [trial for trial in record.finished if _known([trial.values.get(key) for key in record.objectives], all)]
    if len(record.objectives) < 2 or not trials:
        return []
    headings = {_heading(key): key for key in record.objectives}
    figure = pareto_front(
        [trial.number for trial in trials],
        {heading: [trial.values[key] for trial in trials] for heading, key in headings.items()},
        record.pareto,
        minimise={heading: record.objectives[key] == "minimise" for heading, key in headings.items()},
    )
    caption = "No other trial beats a numbered one in all objectives. Trials far from the others lie beyond the axes."
    return [Picture.of(figure, "All trials by pairs of objectives, with the Pareto front.", caption)]


def _importance_section(record: SweepRecord) -> Section:
    title = "Importance"
    if not record.importance:
        return Section(title)
    text = "A bar that does not pass its mark is as long as luck makes it."
    key = record.metric
    within, degrees = pooled_deviation(_repeated_values(record).values())
    trials = [value for trial in record.finished if (value := trial.values.get(key)) is not None and isfinite(value)]
    if degrees and len(trials) > 1:
        text += (
            f" Seeds alone give a standard deviation of the {_title(key)} of {within:.3g}, over the further seeds of a "
            f"trial; over the {len(trials):,} finished trials it is {stdev(trials):.3g}."
        )
    return Section(title, text, pictures=_importance(record.importance, key))


def _importance(importance: Mapping[str, Importance], key: str, without_effect: Sequence[str] = ()) -> list[Picture]:
    shares = {name: (each.value, each.by_luck) for name, each in importance.items()}
    figure = parameter_importance(shares, without_effect)
    caption = (
        f"How far each parameter sets the trials with the best {_title(key)} apart from the others. Marks: what "
        "shuffled results give in 95 of 100 cases at most."
    )
    return [Picture.of(figure, "Bars of the importance of each parameter, with marks at what luck gives.", caption)]


def _slice_section(title: str, pictures: Sequence[Picture]) -> Section:
    text = (
        "Trials by one parameter at a time; all other parameters differ as well. Crosses are trials that were stopped "
        "early, a diamond is the best one. Trials with one of a few listed values are drawn side by side."
    )
    return Section(title, text if pictures else "", pictures=pictures, gallery=True)


def _slices(record: SweepRecord) -> list[Picture]:
    trials = [trial for trial in record.trials if trial.state in ("finished", "pruned")]
    values = [_value(record, trial) for trial in trials]
    return _slices_of(trials, values, record.parameters, _axis(record), record.best)


def _slices_of(
    trials: Sequence[TrialRecord],
    values: Sequence[float | None],
    parameters: Mapping[str, str],
    axis: Mapping[str, Any],
    best: int | None,
) -> list[Picture]:
    if not _known(values):
        return []
    pictures = []
    names = short_names(parameters)
    for name, searched in parameters.items():
        present = [index for index, trial in enumerate(trials) if name in trial.settings]
        figure = parameter_slice(
            [trials[index].settings[name] for index in present],
            [values[index] for index in present],
            _states([trials[index] for index in present]),
            name=names[name],
            searched=searched,
            best=_index([trials[index] for index in present], best),
            **axis,
        )
        pictures.append(Picture.of(figure, f"Value of each trial by {name}.", name))
    return pictures


def _parallel(record: SweepRecord) -> list[Picture]:
    trials = [trial for trial in record.trials if trial.settings]
    values = [_value(record, trial) if _states([trial]) == ["finished"] else None for trial in trials]
    if not _known(values) or not record.parameters:
        return []
    figure = parallel_coordinates(
        {name: [trial.settings.get(name) for trial in trials] for name in record.parameters},
        values,
        searched=record.parameters,
        best=_index(trials, record.best),
        **_axis(record),
    )
    caption = (
        "A line for each trial, coloured by the objective, which is the last axis; the best trial is bold. Grey lines, "
        "those of trials that did not finish, end before it."
    )
    return [Picture.of(figure, "Settings of all trials as lines across one axis per parameter.", caption)]


def _curves(record: SweepRecord) -> list[Picture]:
    progress = {trial.number: [at for at in trial.progress if isfinite(at[1])] for trial in record.trials}
    if not any(progress.values()):
        return []
    states = {trial.number: trial.state for trial in record.trials}
    figure = learning_curves(progress, states, best=record.best, **_axis(record))
    caption = "On validation by epoch, one line per trial. Crosses: where a trial was pruned."
    return [Picture.of(figure, f"Learning curves of all trials: {_title(record.metric)} by epoch.", caption)]


def _timeline(record: SweepRecord) -> list[Picture]:
    bars = []
    for run in _runs(record):
        state = run.state if isinstance(run, TrialRecord) or run.state in ("failed", "running") else "further seed"
        for span in run.spans:
            shown = "running" if span.end is None else "finished" if state in ("running", "waiting") else state
            bars.append(Bar(span.worker, span.start, span.end, f"{run.number}", shown))
    if not bars:
        return []
    figure = trial_timeline(bars, record.seconds)
    caption = "Numbers of the trials by time, one row per worker. A dashed line is a time in which nothing ran."
    return [Picture.of(figure, "Timeline of the workers: which trial each one trained, and when.", caption)]


# Tables


def _failure_section(record: SweepRecord) -> Section:
    rows = [[f"{trial.number}", _settings(trial), trial.reason] for trial in record.trials if trial.state == "failed"]
    by_number = {trial.number: trial for trial in record.trials}
    rows += [
        [f"{repeat.number}, seed {repeat.seed}", _settings(by_number[repeat.number]), repeat.reason]
        for repeat in record.repeats
        if repeat.state == "failed" and repeat.number in by_number
    ]
    tables = [Table(rows, ["trial", "settings", "reason"], numeric=False)] if rows else []
    return Section("Failures", tables=tables)


def _trial_section(record: SweepRecord) -> Section:
    title = "Trials"
    if not record.trials:
        return Section(title, "No trial has started yet.")
    minimise, key = record.objectives[record.metric] == "minimise", record.metric

    def rank(trial: TrialRecord) -> tuple[int, float, int]:
        value = trial.values.get(key)
        if _states([trial]) != ["finished"] or value is None or not isfinite(value):
            return STATES.index(trial.state) + 1, 0.0, trial.number
        return 0, value if minimise else -value, trial.number

    ranked = sorted(record.trials, key=rank)
    header, *rows = trial_rows(record, ranked)
    keep = [
        index
        for index, name in enumerate(header)
        if name not in OPTIONAL or any(row[index] not in ("", "no", 0) for row in rows)
    ]
    names = short_names(header)
    cells = [[shorten(_shown(row[index]), 60) for index in keep] for row in rows[:ROWS]]
    caption = "The best first." if record.finished else ""
    if len(rows) > ROWS:
        caption += f" The first {ROWS} of {len(rows):,} trials; all are in trials.csv."
    table = Table(cells, [names[header[index]] for index in keep], caption.strip())
    return Section(title, tables=[table])


def _search_section(record: SweepRecord) -> Section:
    searched = [[name, re.sub(",(?! )", ", ", values)] for name, values in record.parameters.items()]
    space = Table(searched, ["field", "values"], "What was searched.", numeric=False)
    facts = {
        "data": record.source,
        "objective": ", ".join(f"{_heading(key)}, {direction}" for key, direction in record.objectives.items()),
        "settings chosen by": record.sampler,
        "constraints": "; ".join(record.constraints),
    }
    code = [CodeBlock(record.command, "Command")] if record.command else []
    code += [CodeBlock(record.config, "Config (YAML)", folded=True)] if record.config else []
    rows = [[name, fact] for name, fact in facts.items() if fact]
    tables = [*([space] if record.parameters else []), Table(rows, numeric=False)]
    return Section("How to reproduce", tables=tables, code=code)


# Given results


def _given_sections(record: SweepRecord) -> list[Section]:
    given = record.given
    if given is None:
        return []
    key = given.metric or record.metric
    better = METRICS[key].better if key in METRICS else "higher"
    direction = record.objectives.get(key, "minimise" if better == "lower" else "maximise")
    axis = {"heading": _heading(key), "minimise": direction == "minimise"}
    columns = dict.fromkeys(name for trial in given.trials for name in trial.settings)
    varied = [name for name in columns if len({trial.settings.get(name) for trial in given.trials}) > 1]
    searched = {name: record.parameters.get(name, "") for name in varied}
    values = [trial.values.get(key) for trial in given.trials]
    text = f"{_count(len(given.trials), 'trial')} of {given.source}, with {_title(key)} as given."
    if given.without_effect:
        names = _joined(given.without_effect)
        several = len(given.without_effect) > 1
        change, seem = ("s {} change", "they seem") if several else (" {} changes", "it seems")
        text += f" The column{change.format(names)} nothing that is measured, so what {seem} to matter is luck."
    importance = _importance(given.importance, key, given.without_effect) if given.importance else []
    return [
        Section("Importance by column", text, pictures=importance),
        _slice_section("Slices by column", _slices_of(given.trials, values, searched, axis, None)),
    ]


# Values as text


def _best(record: SweepRecord) -> TrialRecord | None:
    """The best trial; None if there is none with a value."""
    return next((each for each in record.trials if each.number == record.best and record.metric in each.values), None)


def _runs(record: SweepRecord) -> list[Any]:
    return [*record.trials, *record.repeats]


def _repeated_values(record: SweepRecord) -> dict[int, list[float]]:
    """The first objective of the finished repeats, by trial."""
    found: dict[int, list[float]] = {}
    for repeat in record.repeats:
        if repeat.state == "finished" and record.metric in repeat.values:
            found.setdefault(repeat.number, []).append(repeat.values[record.metric])
    return found


def _states(trials: Sequence[TrialRecord]) -> list[str]:
    """The states; a trial that violates a constraint counts as pruned."""
    return ["pruned" if trial.infeasible and trial.state == "finished" else trial.state for trial in trials]


def _value(record: SweepRecord, trial: TrialRecord) -> float | None:
    """The first objective; of a trial that was stopped, the last value."""
    value = trial.values.get(record.metric)
    if value is None and trial.state == "pruned" and trial.progress:
        return trial.progress[-1][1]
    return value if trial.state in ("finished", "pruned") else None


def _known(values: Sequence[float | None], quantifier: Any = any) -> bool:
    return bool(quantifier(value is not None and isfinite(value) for value in values))


def _index(trials: Sequence[TrialRecord], number: int | None) -> int:
    return next((index for index, trial in enumerate(trials) if trial.number == number), -1)


def _axis(record: SweepRecord) -> dict[str, Any]:
    return {"heading": _heading(record.metric), "minimise": record.objectives[record.metric] == "minimise"}


def _measured(trials: Sequence[TrialRecord], first: Collection[str]) -> list[str]:
    """Keys of the values that any trial has, these first."""
    found = dict.fromkeys(key for trial in trials for key in trial.values)
    return [key for key in dict.fromkeys([*first, *METRICS, *COSTS, *found]) if key in found]


def _title(key: str) -> str:
    return METRICS[key].title if key in METRICS else COSTS.get(key, key)


def _heading(key: str) -> str:
    return METRICS[key].heading if key in METRICS else COSTS.get(key, key)


def _format(key: str, value: float) -> str:
    return METRICS[key].format(value) if key in METRICS else f"{value:,.0f}"


def _signed(key: str, value: float) -> str:
    return f"{'-' if value < 0 else '+'}{_format(key, abs(value))}"


def _interval(key: str, interval: tuple[float, float], between: str = " to ") -> str:
    return between.join(_format(key, end) for end in interval)


def _cell(key: str, trial: TrialRecord) -> str:
    text = _format(key, trial.values[key])
    return f"{text} [{_interval(key, trial.intervals[key], ', ')}]" if key in trial.intervals else text


def _as_cell(value: Any) -> Any:
    """A value in a csv file: a number with all of its digits, anything else as text."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else as_text(value)


def _shown(value: Any) -> str:
    return as_text(value) if isinstance(value, float | bool | tuple | list | None) else f"{value}"


def _settings(trial: TrialRecord) -> str:
    names = short_names(trial.settings)
    return ", ".join(f"{names[name]}={_shown(value)}" for name, value in trial.settings.items())


def _epochs(trial: TrialRecord) -> int | str:
    return max((epoch for epoch, _ in trial.progress), default="")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _named(numbers: Sequence[int], capital: bool = False) -> str:
    """Trials in a sentence.

    >>> _named([3]), _named([3, 9, 12], capital=True)
    ('trial 3', 'Trials 3, 9 and 12')
    """
    return f"{'T' if capital else 't'}rial{'s' * (len(numbers) > 1)} {_joined([str(number) for number in numbers])}"


def _joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _duration(seconds: float) -> str:
    """A time as text.

    >>> _duration(48.2), _duration(750), _duration(8100)
    ('48 s', '12 min', '2.2 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
