"""From folders to a page."""

from collections.abc import Sequence
from pathlib import Path

from pixelbayes.report.one_run import headline, sections_of, summary
from pixelbayes.report.page import Page, Section, in_part
from pixelbayes.report.run_record import Record, distinct_names
from pixelbayes.report.side_by_side import side_by_side
from pixelbayes.version import __version__

FOOTER = f"pixelbayes {__version__}"


def run_report(folders: Sequence[Path]) -> Page:
    """The page of one run, or of several side by side; what a folder does not hold is left out.

    Args:
        folders: Run folders, or the folders of evaluations.

    Raises:
        InputError: If a folder is none of a run, is named twice, or holds a damaged file; the message names it.
        ValueError: If there is no folder.
    """
    if not folders:
        raise ValueError("no folder, expected one or more")
    names = distinct_names(folders)
    records = dict(zip(names, map(Record.read, folders), strict=True))
    if len(records) == 1:
        return _page_of_one(names[0], records[names[0]])
    sections = in_part("Side by side", side_by_side(records))
    for name, record in records.items():
        headings = Section("Headline", summary(record), headline(record))
        sections += in_part(name, [headings, *sections_of(record, films=False)]) + _evaluations(record, f"{name}, ")
    return Page(
        title=f"{len(records)} runs",
        summary="\n".join(names),
        kicker="Runs side by side",
        sections=sections,
        footer=FOOTER,
    )


def _page_of_one(name: str, record: Record) -> Page:
    evaluations = _evaluations(record)
    return Page(
        title=name,
        summary=summary(record),
        kicker="Run report",
        cards=headline(record),
        sections=in_part("The run" if evaluations else "", sections_of(record)) + evaluations,
        footer=FOOTER,
    )


def _evaluations(record: Record, prefix: str = "") -> list[Section]:
    sections = []
    for evaluation in record.evaluations:
        headings = Section("Headline", summary(evaluation), headline(evaluation))
        sections += in_part(f"{prefix}evaluation {evaluation.name}", [headings, *sections_of(evaluation)])
    return sections
