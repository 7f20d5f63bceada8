"""Writes the table of a comparison as csv, as Markdown and as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pixelbayes.experiments.claim import command_line
from pixelbayes.experiments.compare.entries import BASELINE
from pixelbayes.experiments.compare.rows import Row
from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.plots import overlaid_curves
from pixelbayes.report.page import CodeBlock, Page, Picture, Section, Table, in_part
from pixelbayes.utils.files import csv_text, write_text


def write_comparison(
    rows: Sequence[Row], base: ExperimentConfig, seeds: Sequence[int], out: Path, eval_split: str, note: str = ""
) -> None:
    """Writes compare.csv, compare.md and index.html."""
    columns = ["entry", "validation accuracy", "validation bits/dim", "parameters", "training images/s"]
    columns[3:3] = [] if eval_split == "validation" else [f"{eval_split} accuracy", f"{eval_split} bits/dim"]
    quality_of = next((row.quality_of for row in rows if row.quality_of), "")
    columns += ["FID", "KID"] if quality_of else []
    cells = [_cells(row, eval_split) + (_distances(row) if quality_of else []) for row in rows]
    faults = [f"{row.name}: {failure}" for row in rows for failure in row.failures]
    write_text(out / "compare.csv", csv_text([columns, *cells]))
    lines = ["| " + " | ".join(line) + " |" for line in (columns, ["---"] * len(columns), *cells)]
    legend = " ".join(filter(None, [_legend(base, seeds), quality_of and f"FID and KID of {quality_of}.", note]))
    words = [legend, *against_baseline(rows, eval_split), *faults]
    write_text(out / "compare.md", "\n".join([*lines, *(f"\n{word}" for word in words)]) + "\n")
    histories = {row.name: row.histories for row in rows if row.histories}
    sections = [
        Section("Table", legend, tables=(Table(cells, columns),), code=_faults(faults)),
        *(Section("Against a dedicated classifier", text) for text in against_baseline(rows, eval_split)),
        Section("Training", pictures=_curves(histories)),
        Section(
            "Samples",
            "Samples from p(x | c) of the first seed of each entry, one row per class.",
            pictures=[
                Picture(row.samples, f"Samples of {row.name}.", row.name) for row in rows if row.samples is not None
            ],
            gallery=True,
        ),
        Section(
            "How to reproduce",
            code=(CodeBlock(command_line(), "Command"), CodeBlock(base.as_yaml(), "Config", folded=True)),
        ),
    ]
    page = Page(title="Comparison", kicker="Entries compared", summary=base.data.source, sections=in_part("", sections))
    page.write(out / "index.html")


def against_baseline(rows: Sequence[Row], eval_split: str) -> list[str]:
    """A paragraph that compares the best density with the dedicated classifier; empty if one of them is missing."""
    finished = {row.name: row for row in rows if "accuracy" in row.values}
    densities = [row for row in finished.values() if "bits_per_dim" in row.values]
    if BASELINE not in finished or not densities:
        return []
    dedicated, best = finished[BASELINE], max(densities, key=lambda row: row.mean("val/accuracy"))
    gap = 100 * (dedicated.mean("accuracy") - best.mean("accuracy"))
    cost = dedicated.mean("classified_per_second") / best.mean("classified_per_second")
    return [
        f"On {eval_split} the dedicated classifier ({dedicated.num_parameters:,} parameters) has an accuracy of "
        f"{dedicated.cell('accuracy', 3)}. The generative classifier that is best on validation, {best.name} "
        f"({best.num_parameters:,} parameters), has {best.cell('accuracy', 3)}, {abs(gap):.1f} points "
        f"{'less' if gap > 0 else 'more'}. The mean negative log-likelihoods of their posteriors are "
        f"{dedicated.cell('nll', 3)} and {best.cell('nll', 3)} nats, the expected calibration errors "
        f"{dedicated.cell('ece', 3)} and {best.cell('ece', 3)}. The generative classifier takes {cost:.0f} times as "
        "long per image, because it scores every class. Only the generative classifier can draw new images of a class, "
        "compute the code length of an image, use another prior without training again, and learn from images without "
        "labels."
    ]


def _cells(row: Row, eval_split: str) -> list[str]:
    measured = [row.cell("accuracy", 3), row.cell("bits_per_dim", 3)] if eval_split != "validation" else []
    return [
        row.name,
        row.cell("val/accuracy", 3),
        row.cell("val/bits_per_dim", 3),
        *measured,
        f"{row.num_parameters:,}" if row.num_parameters else "",
        row.cell("images_per_second", 0),
    ]


def _distances(row: Row) -> list[str]:
    return [row.cell("fid", 2), row.cell("kid", 4)]


def _legend(base: ExperimentConfig, seeds: Sequence[int]) -> str:
    over = f"Mean ± standard deviation over {len(seeds)} seeds" if len(seeds) > 1 else "One seed"
    training = base.training
    epochs = f"{training.epochs} epochs"
    if training.patience:
        epochs = f"at most {epochs} with patience {training.patience}"
    return (
        f"{over}; each run {epochs}, its weights selected by {training.monitor} on "
        "validation. Bits per dimension are of p(x | label), on the levels and size in the config."
    )


def _faults(faults: Sequence[str]) -> list[CodeBlock]:
    return [CodeBlock("\n".join(faults), "Runs that failed")] if faults else []


def _curves(histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> list[Picture]:
    if not histories:
        return []
    caption = "Metrics on validation by epoch, mean over seeds."
    return [Picture.of(overlaid_curves(histories), "Learning curves of all entries.", caption)]
