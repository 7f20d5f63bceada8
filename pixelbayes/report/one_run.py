"""The sections of a report about one run, or about one evaluation."""

from collections import defaultdict
from collections.abc import Callable

from pixelbayes.metrics.registry import METRICS
from pixelbayes.plots.registry import PLOTS
from pixelbayes.report.page import Card, CodeBlock, Picture, Section, Table, Timeline
from pixelbayes.report.run_record import RunRecord
from pixelbayes.report.tables import (
    acceptance_table,
    calibration_table,
    class_table,
    data_table,
    memorization_table,
    number,
    ood_table,
    quality_table,
    scored_with,
    selective_table,
    sets_table,
)

TABLES: dict[str, Callable[[RunRecord], Table | None]] = {  # by the title of the section
    "Sample quality": lambda record: quality_table(record.quality),
    "Acceptance": lambda record: acceptance_table(record.quality),
    "Memorization": lambda record: memorization_table(record.quality),
    "Classification": lambda record: class_table(record.metrics),
    "Calibration": lambda record: calibration_table(record.metrics),
    "Prediction sets": lambda record: sets_table(record.metrics),
    "Selective classification": lambda record: selective_table(record.metrics),
    "Out-of-distribution detection": lambda record: ood_table(record.metrics),
    "Data": lambda record: data_table(record.data),
}
AFTER = {
    "Acceptance": "Sample quality",
    "Prediction sets": "Calibration",
}  # sections without plots, and their places
OTHER_PLOTS = "Other plots"  # title of the section of plots that are not in PLOTS
TIMELINE_TEXT = "Samples by epoch, always from the same noise, one row per class."


def headline(record: RunRecord) -> list[Card]:
    """The most important metrics."""
    cards = []
    for key, metric in METRICS.items():
        value = metric.value(record.quality if key in record.quality else record.metrics)
        if value is not None and (key in NOTES or metric.compute):
            note = NOTES[key](record) if key in NOTES else metric.unit
            cards.append(Card(f"{metric.title[0].upper()}{metric.title[1:]}", metric.format(value), note))
    if record.metrics.get("n"):
        cards.append(Card("Images", f"{record.metrics['n']:,}", f"of the {record.metrics.get('split', '')} split"))
    return cards


def summary(record: RunRecord) -> str:
    """What was measured, and on which data, in one line."""
    description, data = record.about.get("description"), record.metrics.get("data") or record.data.get("source")
    return ", on ".join(word for word in (description, data) if word)


def sections_of(record: RunRecord, *, timelines: bool = True) -> list[Section]:
    """All sections in the order of PLOTS, including empty ones.

    Args:
        record: The run.
        timelines: Whether to show samples by epoch.
    """
    pictures = _pictures_by_section(record)
    samples = timeline(record) if timelines else None
    with_plots = dict.fromkeys(plot.section for plot in PLOTS.values())
    following = {before: title for title, before in AFTER.items()}
    placed = [each for title in with_plots for each in (title, following.get(title)) if each]
    titles = dict.fromkeys([*placed, *TABLES, OTHER_PLOTS])
    sections = []
    for title in titles:
        table = TABLES[title](record) if title in TABLES else None
        by_epoch = [samples] if samples and title == PLOTS["samples"].section else []
        sections.append(
            Section(
                title,
                TIMELINE_TEXT if by_epoch else "",
                timelines=by_epoch,
                pictures=pictures[title],
                tables=[table] if table else [],
            )
        )
    return [*sections, _reproduction(record)]


def timeline(record: RunRecord, title: str = "") -> Timeline | None:
    """Samples by epoch; None if there are none."""
    of = f" of {title}" if title else ""
    frames = {
        epoch: Picture(path.read_bytes(), f"Samples{of} at epoch {epoch}, one row per class.")
        for epoch, path in record.grids.items()
    }
    return Timeline(frames, title) if frames else None


def _pictures_by_section(record: RunRecord) -> dict[str, list[Picture]]:
    pictures = defaultdict(list)
    for name, plot in PLOTS.items():
        if plot.draw_history:
            figure = plot.draw_history(record.history, record.metrics.get("epoch"))
            found = None if figure is None else Picture.of(figure, plot.description, plot.caption)
        else:
            path = record.figures.get(name)
            found = None if path is None else Picture.read(path, plot.description, plot.caption)
        if found is not None:
            pictures[plot.section].append(found)
    for name, path in record.figures.items():
        if name not in PLOTS:
            pictures[OTHER_PLOTS].append(Picture.read(path, f"{name}.", name))
    return pictures


def _accuracy_note(record: RunRecord) -> str:
    metrics = record.metrics
    low, high = metrics["accuracy_interval"]
    labelled = sum(score["support"] for score in metrics["per_class"].values())
    note = f"95% interval {low:.3f} to {high:.3f}, {metrics.get('split', '')}, n = {labelled:,}"
    return f"{note}; scored with {passes}" if (passes := scored_with(metrics)) else note


def _nll_note(record: RunRecord) -> str:
    metrics = record.metrics
    note = "nats, mean of -log p(label | x)"
    if metrics.get("ece") is not None:
        note += f"; expected calibration error {metrics['ece']:.3f}"
    calibrated = metrics.get("calibrated") or {}
    if calibrated.get("nll") is not None:
        note += f"; at temperature {number(calibrated.get('temperature'))}: {calibrated['nll']:.3f}"
    return note


def _bits_note(record: RunRecord) -> str:
    metrics = record.metrics
    height, width = metrics["image_size"]
    note = f"{metrics['levels']} levels, {height}x{width} pixels, resize {metrics['resize']}"
    return f"{note}; of {metrics['bits_per_dim_of']}" if metrics.get("bits_per_dim_of") else note


def _fid_note(record: RunRecord) -> str:
    quality = record.quality
    images = f"{quality['n']:,} samples, {quality['n_reference']:,} images of {quality['reference']}"
    return f"{images}, features {quality['extractor']}"


NOTES: dict[str, Callable[[RunRecord], str]] = {  # by the key of the metric; other metrics need `compute` for a card
    "accuracy": _accuracy_note,
    "macro_f1": lambda _: "mean over the classes that occur",
    "nll": _nll_note,
    "bits_per_dim": _bits_note,
    "fid": _fid_note,
}


def _reproduction(record: RunRecord) -> Section:
    facts, command = record.about.get("facts"), record.about.get("command")
    code = [CodeBlock(command, "Command")] if command else []
    if record.config_text:
        code.append(CodeBlock(record.config_text, "Config (YAML)", folded=True))
    tables = [Table(list(facts.items()), numeric=False)] if facts else []
    return Section("How to reproduce", tables=tables, code=code)
