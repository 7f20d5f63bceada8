"""The report of one or several runs, composed from the files of their folders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pixelbayes.report.one_run import headline, sections_of, summary
from pixelbayes.report.page import Page, Section, in_part
from pixelbayes.report.run_record import RunRecord, distinct_names
from pixelbayes.report.side_by_side import side_by_side
from pixelbayes.report.sweep import sweep_cards, sweep_page, sweep_sections, sweep_summary
from pixelbayes.report.sweep_record import SweepRecord
from pixelbayes.utils.run_folder import RunFolder
from pixelbayes.version import __version__

FOOTER = f"pixelbayes {__version__}"


def run_report(folders: Sequence[Path]) -> Page:
    """The page of one run or sweep, or of several side by side. It needs neither the data nor the network.

    Args:
        folders: Run folders, or folders of evaluations or sweeps.

    Raises:
        InputError: If a path is not such a folder, is named twice, or contains a damaged file.
        ValueError: If there is no path.
    """
    if not folders:
        raise ValueError("no folder, expected one or more")
    names = distinct_names(folders)
    records = dict(zip(names, map(_read, folders), strict=True))
    if len(records) == 1:
        return _page_of_one(names[0], records[names[0]])
    runs = {name: record for name, record in records.items() if isinstance(record, RunRecord)}
    sections = in_part("Side by side", side_by_side(runs)) if len(runs) > 1 else []
    for name, record in records.items():
        if isinstance(record, SweepRecord):
            overview = Section("Overview", sweep_summary(record), sweep_cards(record))
            sections += [*in_part(name, [overview]), *sweep_sections(record, name)]
            continue
        sections += in_part(name, [_overview(record), *sections_of(record, timelines=False)])
        sections += _evaluations(record, f"{name}, ")
    return Page(
        title=" and ".join(_counts(len(runs), len(records) - len(runs))),
        summary="\n".join(names),
        kicker="Runs side by side" if len(runs) == len(records) else "Side by side",
        sections=sections,
        footer=FOOTER,
    )


def _read(folder: Path) -> RunRecord | SweepRecord:
    sweep = RunFolder(folder).sweep
    return SweepRecord.read(sweep) if sweep.is_file() else RunRecord.read(folder)


def _counts(runs: int, sweeps: int) -> list[str]:
    return [f"{count} {noun}{'s' * (count > 1)}" for count, noun in ((runs, "run"), (sweeps, "sweep")) if count]


def _page_of_one(name: str, record: RunRecord | SweepRecord) -> Page:
    if isinstance(record, SweepRecord):
        return replace(sweep_page(record), footer=FOOTER)
    evaluations = _evaluations(record)
    return Page(
        title=name,
        summary=summary(record),
        kicker="Run report",
        cards=headline(record),
        sections=in_part("The run" if evaluations else "", sections_of(record)) + evaluations,
        footer=FOOTER,
    )


def _evaluations(record: RunRecord, prefix: str = "") -> list[Section]:
    sections = []
    for evaluation in record.evaluations:
        part = f"{prefix}evaluation {evaluation.name}"
        sections += in_part(part, [_overview(evaluation), *sections_of(evaluation)])
    return sections


def _overview(record: RunRecord) -> Section:
    return Section("Overview", summary(record), headline(record))
