"""The sections on one run, or on one evaluation of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pixelbayes.plots.curves import PANELS, curves, was_logged
from pixelbayes.plots.quality import MEASURES, quality_curves
from pixelbayes.report.captions import CAPTIONS, Caption
from pixelbayes.report.page import Card, Film, Listing, Picture, Section, Table
from pixelbayes.report.run_record import Record
from pixelbayes.report.tables import (
    against_table,
    calibration_table,
    class_table,
    data_table,
    how_read,
    memorising_table,
    number,
    quality_table,
    selective_table,
)

ORDER = (
    "Training", "Samples", "Sample quality", "Memorising", "Classes", "Calibration", "Setting the unsure aside",
    "Mistakes", "Single images", "Which pixels decide", "Against other data", "Classes as the network is told of them",
    "Augmentation", "Data", "More figures",
)  # fmt: skip

GROWTH = "Drawn as training went on, each time from the same noise, a row for each class."

REDRAWN = ("curves", "quality")  # from the history, which an unfinished run has too


def headline(record: Record) -> list[Card]:
    """The figures to know first, of those the folder holds."""
    metrics, quality = record.metrics, record.quality
    split = metrics.get("split", "")
    cards = []
    if metrics.get("accuracy") is not None:
        low, high = metrics["accuracy_interval"]
        labelled = sum(score["support"] for score in metrics["per_class"].values())
        note = f"95% interval {low:.3f} to {high:.3f}, {split}, n = {labelled:,}"
        read = f"; read in {how}" if (how := how_read(metrics)) else ""
        cards.append(Card("Accuracy", number(metrics["accuracy"]), note + read))
        cards.append(Card("Macro F1", number(metrics["macro_f1"]), "mean over the classes that occur"))
    if metrics.get("nll") is not None:
        cards.append(Card("Negative log-likelihood", number(metrics["nll"]), _calibration_note(metrics)))
    if metrics.get("bits_per_dim") is not None:
        height, width = metrics["image_size"]
        note = f"{metrics['levels']} levels, {height}x{width} pixels, resize {metrics['resize']}"
        of = f"; of {metrics['bits_per_dim_of']}" if metrics.get("bits_per_dim_of") else ""
        cards.append(Card("Bits per dimension", number(metrics["bits_per_dim"]), note + of))
    if quality.get("fid") is not None:
        note = f"{quality['n']:,} samples, {quality['n_reference']:,} images of {quality['reference']}"
        cards.append(Card("FID", number(quality["fid"], 2), f"{note}, features {quality['extractor']}"))
    if metrics.get("n"):
        cards.append(Card("Images", f"{metrics['n']:,}", f"of the {split} split"))
    return cards


def summary(record: Record) -> str:
    """A line on what it is and what it was measured on."""
    known = [record.about.get("description"), record.metrics.get("data") or record.data.get("source")]
    return ", on ".join(word for word in known if word)


def sections_of(record: Record, *, films: bool = True) -> list[Section]:
    """All there is to show of a folder, in the order of reading; sections without content among them.

    Args:
        record: The folder.
        films: Whether to show samples epoch by epoch.
    """
    pictures: dict[str, list[Picture]] = defaultdict(list)
    for name in sorted(record.figures, key=lambda name: [*CAPTIONS, name].index(name)):
        if name not in REDRAWN:
            words = CAPTIONS.get(name, Caption("More figures", f"{name}.", name))
            pictures[words.section].append(Picture.read(record.figures[name], words.description, words.caption))
    pictures["Training"] += _training_pictures(record.history, record.metrics.get("epoch"))
    pictures["Sample quality"] += _quality_pictures(record.history)
    tables = {
        "Sample quality": quality_table(record.quality),
        "Memorising": memorising_table(record.quality),
        "Classes": class_table(record.metrics),
        "Calibration": calibration_table(record.metrics),
        "Setting the unsure aside": selective_table(record.metrics),
        "Against other data": against_table(record.metrics),
        "Data": data_table(record.data),
    }
    grown = {"Samples": [found]} if films and (found := film(record)) else {}
    sections = [
        Section(
            title,
            GROWTH if title in grown else "",
            films=grown.get(title, ()),
            pictures=pictures[title],
            tables=[table] if (table := tables.get(title)) else (),
        )
        for title in ORDER
    ]
    return [*sections, _repetition(record)]


def film(record: Record, title: str = "") -> Film | None:
    """Samples epoch by epoch; None if there are none."""
    of = f" of {title}" if title else ""
    frames = {
        epoch: Picture(path.read_bytes(), f"Samples{of} at epoch {epoch}, a row for each class.")
        for epoch, path in record.grids.items()
    }
    return Film(frames, title) if frames else None


def _calibration_note(metrics: Mapping[str, Any]) -> str:
    note = "nats, mean of -log p(label | x)"
    if metrics.get("ece") is not None:
        note += f"; expected calibration error {metrics['ece']:.3f}"
    calibrated = metrics.get("calibrated") or {}
    if calibrated.get("nll") is not None:
        note += f"; at temperature {number(calibrated.get('temperature'))}: {calibrated['nll']:.3f}"
    return note


def _training_pictures(history: Sequence[Mapping[str, Any]], best_epoch: int | None) -> list[Picture]:
    logged = [title for title, (_, keys) in PANELS.items() if was_logged(history, keys.values())]
    if not logged:
        return []
    words = ", ".join(logged)
    caption = "The dashed line marks the epoch whose weights were selected." if best_epoch is not None else ""
    return [Picture.of(curves(history, best_epoch), f"{words[0].upper()}{words[1:]} by epoch.", caption)]


def _quality_pictures(history: Sequence[Mapping[str, Any]]) -> list[Picture]:
    if not was_logged(history, MEASURES.values()):
        return []
    caption = "Measured while training, on few samples: good for the course, not for the level."
    return [Picture.of(quality_curves(history), "FID and KID of samples by epoch.", caption)]


def _repetition(record: Record) -> Section:
    facts, command = record.about.get("facts"), record.about.get("command")
    return Section(
        "How to repeat it",
        tables=[Table(list(facts.items()), numeric=False)] if facts else (),
        listings=[
            *([Listing(command, "Command")] if command else []),
            *([Listing(record.config_text, "Config (YAML)", folded=True)] if record.config_text else []),
        ],
    )
