"""The report of one or several runs, composed from the files of their folders."""

from collections.abc import Sequence
from pathlib import Path

from pixelbayes.report.one_run import headline, sections_of, summary
from pixelbayes.report.page import Page, Section, in_part
from pixelbayes.report.run_record import RunRecord, distinct_names
from pixelbayes.report.side_by_side import side_by_side
from pixelbayes.version import __version__

FOOTER = f"pixelbayes {__version__}"


def run_report(folders: Sequence[Path]) -> Page:
    """The page of one run, or of several runs side by side. It needs neither the data nor the network.

    Args:
        folders: Run folders, or folders of evaluations.

    Raises:
        InputError: If a path is not a run folder, is named twice, or contains a damaged file.
        ValueError: If there is no path.
    """
    if not folders:
        raise ValueError("no folder, expected one or more")
    names = distinct_names(folders)
    records = dict(zip(names, map(RunRecord.read, folders), strict=True))
    if len(records) == 1:
        return _page_of_one(names[0], records[names[0]])
    sections = in_part("Side by side", side_by_side(records))
    for name, record in records.items():
        sections += in_part(name, [_overview(record), *sections_of(record, timelines=False)])
        sections += _evaluations(record, f"{name}, ")
    return Page(
        title=f"{len(records)} runs",
        summary="\n".join(names),
        kicker="Runs side by side",
        sections=sections,
        footer=FOOTER,
    )


def _page_of_one(name: str, record: RunRecord) -> Page:
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
