"""Tables of trials that people already have: settings, and results beside them."""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.plan import with_fields
from pixelbayes.experiments.sweep.course_names import TYPES, results_of, translate
from pixelbayes.metrics.repeats import pooled_deviation
from pixelbayes.utils.config_fields import convert
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import csv_cells

LABELS = ("trial", "number", "name", "run", "id")  # columns that name the trial; the first one that is there
STATE = "state"  # a column
FINISHED = ("finished", "complete", "completed")
NOT_MEASURED = ("", "nan", "null", "none", "inf", "-inf", "infinity")

OF_SWEEP = ("number", "state", "origin")
"""Columns that tell the trials.csv of a sweep from other tables."""

MEASURED = ("parameters", "seconds")
"""Results in the trials.csv of a sweep beside the metrics."""


@dataclass(frozen=True)
class TableRow:
    """A trial of a table.

    Args:
        label: Its number or name; by default its position, from 1.
        settings: The field of every column of settings, by dotted name.
        results: What was measured on validation, by metric; empty if the trial is not finished.
        without_effect: The columns that change no result.
        state: As the table says, in small letters; empty if it does not.
    """

    label: str
    settings: dict[str, Any]
    results: dict[str, float]
    without_effect: dict[str, Any]
    state: str


@dataclass(frozen=True)
class TrialsTable:
    """A table of trials.

    Args:
        source: Name of the file.
        rows: At least one.
        remarks: How it was understood and what is ignored, one sentence each.
    """

    source: str
    rows: tuple[TableRow, ...]
    remarks: tuple[str, ...]


def read_trials(path: Path, base: ExperimentConfig) -> TrialsTable:
    """Reads a csv file with a trial in each row, such as the trials.csv of a sweep, or that of a course project.

    Args:
        path: The file, in UTF-8, with the names of the columns in the first row; commas, semicolons or tabs divide the
            cells.
        base: The config whose fields the settings are; an empty cell stands for its value.

    Raises:
        InputError: If it cannot be read, has no settings, or a cell is not a value of its field; the message has one
            line per fault.
    """
    try:
        read = [(line, cells) for line, cells in csv_cells(path, lambda names: bool(translate(names).fields))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: the trials cannot be read ({reason}); save them as UTF-8 csv") from None
    numbered = [(line, cells) for line, cells in read if any(cells)]
    if len(numbered) < 2:
        raise InputError(f"{path}: there are no trials; write the names of fields, and below them a trial in each row")
    names = numbered.pop(0)[1]
    columns = _Columns(path, names, base)
    faults: list[str] = []
    rows: list[TableRow] = []
    for line, cells in numbered:
        where = f"{path} line {line}"
        if len(cells) != len(names):
            faults.append(f"{where}: {len(cells)} cells in {len(names)} columns; put quotes around a cell with a comma")
            continue
        try:
            rows.append(columns.row(dict(zip(names, cells, strict=True)), len(rows) + 1))
        except InputError as error:
            faults += [f"{where}: {fault}" for fault in str(error).splitlines()]
    if faults:
        raise InputError.listing(faults)
    return TrialsTable(path.name, tuple(rows), (*columns.remarks(), *_remarks_on_rows(rows)))


class _Columns:
    """What the columns of a table hold.

    Raises:
        InputError: If two hold the same, or none holds a setting.
    """

    def __init__(self, path: Path, names: Sequence[str], base: ExperimentConfig):
        self.base = base
        plain = {name.lower(): name for name in names}
        self.label = next((plain[name] for name in LABELS if name in plain), None)
        self.state = plain.get(STATE)
        self.results: dict[str, str] = dict(results_of(names))
        of_sweep = set(OF_SWEEP) <= plain.keys()
        if of_sweep:
            self.results |= {name: name for name in MEASURED if name in names}
        left = [name for name in names if name and name not in (self.label, self.state, *self.results)]
        # in the trials.csv of a sweep, settings have dotted names, and other columns say how it went
        self.settings = translate(name for name in left if "." in name or not of_sweep)
        for held in (names, list(self.settings.fields.values())):
            if twice := [name for name in held if name and held.count(name) > 1]:
                raise InputError(f"{path}: two columns are {twice[0]}; remove one")
        if not self.settings.fields:
            raise InputError(f"{path}: no column is a field, such as num_filters; write their names into the first row")

    def row(self, cells: Mapping[str, str], position: int) -> TableRow:
        """Reads a trial.

        Raises:
            InputError: If cells are faulty; the message has one line for each.
        """
        faults: list[str] = []

        def read(name: str, kind: Any) -> Any:
            try:
                return convert(name, cells[name], kind)
            except InputError as error:
                faults.append(f"{error}; correct the cell")

        settings = self.settings.implied(self.base)
        for name, field in self.settings.fields.items():
            settings[field] = read(name, TYPES[field]) if cells[name] else attrgetter(field)(self.base)
        state = cells[self.state].lower() if self.state else ""
        is_finished = not state or state in FINISHED
        measured = {name: metric for name, metric in self.results.items() if cells[name].lower() not in NOT_MEASURED}
        results = {metric: read(name, float) for name, metric in measured.items() if is_finished}
        without_effect = {name: read(name, int | float | str) for name in self.settings.without_effect if cells[name]}
        if not faults:
            try:
                with_fields(self.base, settings)
            except InputError as error:
                faults.append(f"{error}; correct the row")
        if faults:
            raise InputError.listing(faults)
        label = cells[self.label] if self.label else ""
        return TableRow(label or str(position), settings, results, without_effect, state)

    def remarks(self) -> Iterator[str]:
        """How the columns were understood."""
        yield from self.settings.remarks(self.base)
        renamed = [f"{name} is {metric}" for name, metric in self.results.items() if name != metric]
        if renamed:
            yield f"{', '.join(renamed)}, on validation"
        for name, what in self.settings.without_effect.items():
            yield f"{name} says {what} and changes no result, so all that it seems to change is luck"
        others = {name: metric for name in self.settings.unknown for metric in results_of([name]).values()}
        for name, metric in others.items():
            yield f"{name} is ignored, because another column is {metric}"
        if unknown := [name for name in self.settings.unknown if name not in others]:
            yield f"ignored, because neither a field nor a result on validation: {', '.join(unknown)}"


def _remarks_on_rows(rows: Sequence[TableRow]) -> Iterator[str]:
    unfinished = [row for row in rows if row.state and row.state not in FINISHED]
    if unfinished:
        yield f"the results of these trials do not count, because they did not finish: {_labels(unfinished)}"
    for same in _groups(rows, lambda row: row.results):
        if len(same[0].results) > 1 and any(row.settings != same[0].settings for row in same):
            yield f"trials {_labels(same)} have other settings and equal results; one may be a copy"
    repeats = _groups(rows, lambda row: row.settings)
    deviations = {}
    for metric in dict.fromkeys(metric for same in repeats for row in same for metric in row.results):
        measured = [[row.results[metric] for row in same if metric in row.results] for same in repeats]
        deviation, degrees = pooled_deviation(measured)
        if degrees:
            deviations[metric] = deviation
    if deviations:
        said = ", ".join(f"{metric} {value:.2g}" for metric, value in deviations.items())
        trials = "; ".join(map(_labels, repeats))
        yield f"trials with equal settings ({trials}) have these standard deviations, which are luck: {said}"


def _groups(rows: Sequence[TableRow], key: Callable[[TableRow], Mapping[str, Any]]) -> list[list[TableRow]]:
    """The rows of which several have the same content."""
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(key(row).items())].append(row)
    return [same for same in groups.values() if len(same) > 1]


def _labels(rows: Sequence[TableRow]) -> str:
    return ", ".join(row.label for row in rows)
