"""Adds the trials of a table to a sweep: settings to be trained, or results to learn from."""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from pixelbayes.experiments.sweep.phases import Search
from pixelbayes.experiments.sweep.space import as_scalar
from pixelbayes.experiments.sweep.trials_table import TableRow, TrialsTable
from pixelbayes.utils.errors import InputError


def enqueue(search: Search, table: TrialsTable, *, as_results: bool) -> list[str]:
    """Adds the rows of a table to the trials of a search; a row that was added before is not added again.

    Args:
        search: The search.
        table: The table.
        as_results: Whether rows that have a result of each objective are finished trials. If their settings differ from
            those that are searched, the search does not learn from them.

    Returns:
        What readers of the page must know.

    Raises:
        InputError: If a row that is to be trained has settings that are not searched; the message has one line per
            fault.
    """
    objectives = list(search.config.directions)
    results = [row for row in table.rows if as_results and all(name in row.results for name in objectives)]
    rest = [row for row in table.rows if row not in results]
    if faults := [f"{table.source}, row {row.label}: {fault}" for row in rest for fault in _faults(search, row)]:
        raise InputError.listing(faults)
    usable = [row for row in results if not any(_faults(search, row))]
    for row in rest:
        search.study.plan(_key(table, row), _params(search, row), origin="table")
    for row in usable:
        values = [row.results[name] for name in objectives]
        search.study.add_result(_key(table, row), _params(search, row), values, origin="result", metrics=row.results)
    return list(_remarks(search, table, results, usable, rest))


def _remarks(
    search: Search, table: TrialsTable, results: list[TableRow], usable: list[TableRow], rest: list[TableRow]
) -> Iterator[str]:
    if rest:
        yield f"{len(rest)} rows of {table.source} are trained."
    if results:
        yield f"{len(results)} rows of {table.source} have results, and the search learns from {len(usable)} of them."
        others = [row for row in results if row not in usable]
        if others:
            yield f"For example, it does not learn from row {others[0].label}: {next(_faults(search, others[0]))}."
        if "fid" in search.config.directions:
            yield f"The FID in {table.source} can be compared with that of other trials only on equal features."


def _faults(search: Search, row: TableRow) -> Iterator[str]:
    """Why the search cannot have a trial with the settings of a row."""
    base = {name: attrgetter(name)(search.base) for name in (*row.settings, *search.space)}
    for name, value in row.settings.items():
        if name not in search.space:
            if value != base[name]:
                yield f"{name} is {value}, not {base[name]}; search it, or give this value as an option"
        elif value not in search.space[name]:
            yield f"{name} is {value}, not among {search.space[name]}; search it there, too"
    for name, values in search.space.items():
        if name not in row.settings and base[name] not in values:
            yield f"there is no {name}, and {base[name]} is not among {values}; add the column"


def _params(search: Search, row: TableRow) -> dict[str, Any]:
    return {name: as_scalar(row.settings.get(name, attrgetter(name)(search.base))) for name in search.space}


def _key(table: TrialsTable, row: TableRow) -> str:
    return f"{table.source} {table.rows.index(row)}"
