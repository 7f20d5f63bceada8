"""One table of all rows: as text, as csv, and as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pixelbayes.experiments import ExperimentConfig
from pixelbayes.experiments.compare.entries import BASELINE
from pixelbayes.experiments.compare.rows import Row
from pixelbayes.experiments.run_folder import command_line
from pixelbayes.plots import overlaid_curves
from pixelbayes.report.page import Listing, Page, Picture, Section, Table
from pixelbayes.utils.files import csv_text, write_text


def write_comparison(
    rows: Sequence[Row], base: ExperimentConfig, seeds: Sequence[int], out: Path, report_on: str, note: str = ""
) -> None:
    """compare.csv, compare.md and index.html."""
    columns = ["fusion", "validation accuracy", "validation bits/dim", "parameters", "training images/s"]
    columns[3:3] = [] if report_on == "validation" else [f"{report_on} accuracy", f"{report_on} bits/dim"]
    judged_by = next((row.judged_by for row in rows if row.judged_by), "")
    columns += ["FID", "KID"] if judged_by else []
    cells = [_cells(row, report_on) + (_distances(row) if judged_by else []) for row in rows]
    faults = [f"{row.name}: {failure}" for row in rows for failure in row.failures]
    write_text(out / "compare.csv", csv_text([columns, *cells]))
    lines = ["| " + " | ".join(line) + " |" for line in (columns, ["---"] * len(columns), *cells)]
    legend = " ".join(filter(None, [_legend(base, seeds), judged_by and f"FID and KID are of {judged_by}.", note]))
    words = [legend, *against_baseline(rows, report_on), *faults]
    write_text(out / "compare.md", "\n".join([*lines, *(f"\n{word}" for word in words)]) + "\n")
    histories = {row.name: row.histories for row in rows if row.histories}
    sections = [
        Section("Table", legend, tables=(Table(cells, columns),), listings=_faults(faults)),
        *(Section("Against a dedicated classifier", text) for text in against_baseline(rows, report_on)),
        Section("Training", pictures=_curves(histories)),
        Section(
            "Samples",
            "Drawn from p(x | c) by the first seed of each, a row for each class.",
            pictures=[
                Picture(row.samples, f"Samples of {row.name}.", row.name) for row in rows if row.samples is not None
            ],
            gallery=True,
        ),
        Section(
            "How to repeat it", listings=(Listing(command_line(), "Command"), Listing(base.as_yaml(), "Config", True))
        ),
    ]
    Page(title="Fusions compared", kicker="Comparison", summary=base.data.source, sections=sections).write(
        out / "index.html"
    )


def against_baseline(rows: Sequence[Row], report_on: str) -> list[str]:
    """A paragraph, written from the numbers, on the best density beside the dedicated classifier; none without one."""
    judged = {row.name: row for row in rows if "accuracy" in row.values}
    densities = [row for row in judged.values() if "bits_per_dim" in row.values]
    if BASELINE not in judged or not densities:
        return []
    dedicated, best = judged[BASELINE], max(densities, key=lambda row: row.mean("val/accuracy"))
    gap = 100 * (dedicated.mean("accuracy") - best.mean("accuracy"))
    costs = dedicated.mean("classified_per_second") / best.mean("classified_per_second")
    return [
        f"The dedicated classifier ({dedicated.parameters:,} parameters) reaches an accuracy of "
        f"{dedicated.cell('accuracy', 3)} on {report_on}; {best.name}, the density best on validation "
        f"({best.parameters:,} parameters), {best.cell('accuracy', 3)}: {abs(gap):.1f} points "
        f"{'less' if gap > 0 else 'more'}. Of their posteriors the mean negative log-likelihood is "
        f"{dedicated.cell('nll', 3)} and {best.cell('nll', 3)} nats, the expected calibration error "
        f"{dedicated.cell('ece', 3)} and {best.cell('ece', 3)}. To classify an image the density takes {costs:.0f} "
        "times as long, for it scores every class. What it alone can do: draw new images of a class, tell how many "
        "bits an image costs, take another prior without training again, and learn from images without a label."
    ]


def _cells(row: Row, report_on: str) -> list[str]:
    measured = [row.cell("accuracy", 3), row.cell("bits_per_dim", 3)] if report_on != "validation" else []
    return [
        row.name,
        row.cell("val/accuracy", 3),
        row.cell("val/bits_per_dim", 3),
        *measured,
        f"{row.parameters:,}" if row.parameters else "",
        row.cell("images_per_second", 0),
    ]


def _distances(row: Row) -> list[str]:
    return [row.cell("fid", 2), row.cell("kid", 4)]


def _legend(base: ExperimentConfig, seeds: Sequence[int]) -> str:
    over = f"Mean ± standard deviation over {len(seeds)} seeds" if len(seeds) > 1 else "One seed"
    return (
        f"{over}; each run {base.training.epochs} epochs, its weights selected by {base.training.select_by} on "
        "validation. Bits per dimension are of p(x | label), on the levels and size named in the config."
    )


def _faults(faults: Sequence[str]) -> list[Listing]:
    return [Listing("\n".join(faults), "Runs that failed")] if faults else []


def _curves(histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> list[Picture]:
    if not histories:
        return []
    caption = "On validation, epoch by epoch; mean over seeds."
    return [Picture.of(overlaid_curves(histories), "Learning curves of all contenders.", caption)]
