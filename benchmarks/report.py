"""The figures as people read them: a table in Markdown, a plot, and the machine they are of."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from pixelbayes.evaluation.figures.style import BLUE, SOFT, VERMILLION, save_figure, styled
from pixelbayes.files import write_text

Row = dict[str, Any]

LINES = (
    ("plain", "plain_seconds", SOFT),
    ("cached", "cached_seconds", BLUE),
    ("compiled", "compiled_seconds", VERMILLION),
)


def machine(device: str) -> str:
    """A phrase on what was measured on."""
    torch_version = f"PyTorch {torch.__version__}"
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name()}, {torch_version}"
    processor = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return f"{processor}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {torch_version}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).is_file() else []


def write_table(rows: Sequence[Row], device: str, page: Path) -> None:
    """Puts the tables between the page's marks for that device; what stands around them is written by hand."""
    begin, end = f"<!-- bench {device} -->", f"<!-- end of bench {device} -->"
    text = page.read_text(encoding="utf-8")
    if begin not in text:
        text += f"\n{begin}\n{end}\n"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    write_text(page, f"{head}{begin}\n\n{tables(rows)}\n{end}{tail}")


def tables(rows: Sequence[Row]) -> str:
    """Markdown."""
    parts = [f"{row['machine']}." for row in rows[:1]]
    for work, columns in COLUMNS.items():
        found = [row for row in rows if row["work"] == work]
        if found:
            lines = [list(columns), ["---"] * len(columns)]
            lines += [[shown(row) for shown in columns.values()] for row in found]
            parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts) + "\n"


def _number(name: str, digits: int = 3, unit: str = "") -> Any:
    def shown(row: Row) -> str:
        value = row.get(name)
        return "" if value is None else f"{value:,.{digits}f}{unit}"

    return shown


def _size(row: Row) -> str:
    return f"{row['size']} x {row['size']}"


COLUMNS: dict[str, dict[str, Any]] = {
    "sampling": {
        "sampling: images": _number("batch", 0),
        "size": _size,
        "one forward pass (s)": _number("forward_seconds"),
        "plain (s)": _number("plain_seconds", 1),
        "cached (s)": _number("cached_seconds", 2),
        "compiled (s)": _number("compiled_seconds", 2),
        "plain / compiled": _number("speedup", 0),
        "compiled / forward": _number("forward_passes", 1),
        "images/s": _number("images_per_second", 1),
        "share of the floor": _number("share_of_floor", 2),
        "peak memory": _number("peak_memory_mib", 0, " MiB"),
    },
    "scoring": {
        "scoring: classes": _number("classes", 0),
        "fusion": lambda row: row["fusion"],
        "plain (images/s)": _number("plain_images_per_second", 1),
        "one pass": _number("one_pass_images_per_second", 1),
        "compiled": _number("compiled_images_per_second", 1),
        "compiled / plain": _number("speedup", 2),
        "in bf16": _number("bf16_images_per_second", 1),
        "bf16 / plain": _number("bf16_speedup", 2),
        "share of the floor": _number("share_of_floor", 2),
        "peak memory": _number("peak_memory_mib", 0, " MiB"),
    },
    "training": {
        "training: batch": _number("batch", 0),
        "plain (images/s)": _number("plain_images_per_second", 1),
        "bf16": _number("bf16_images_per_second", 1),
        "compiled": _number("compiled_images_per_second", 1),
        "compiled, bf16": _number("compiled_bf16_images_per_second", 1),
        "of plain": _number("speedup", 2),
        "the same by Lightning": _number("lightning_images_per_second", 1),
        "Lightning / bare loop": _number("lightning_share", 2),
        "share of the floor": _number("share_of_floor", 2),
        "peak memory": _number("peak_memory_mib", 0, " MiB"),
    },
    "waiting": {
        "waiting: 25 images, cold start": _number("seconds", 1, " s"),
        "peak memory of this process": _number("peak_memory_mib", 0, " MiB"),
    },
}


@styled
def growth(rows: Sequence[Row]) -> Figure:
    """Seconds by batch and by pixels, on logarithmic axes."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    by_batch, by_size = figure.subplots(1, 2)
    found = [row for row in rows if row["work"] == "sampling"]
    for axes, chosen, x, label in (
        (by_batch, [row for row in found if row["size"] == 32], lambda row: row["batch"], "images of 32 x 32"),
        (by_size, [row for row in found if row["batch"] == 16], lambda row: row["size"] ** 2, "pixels of 16 images"),
    ):
        chosen = sorted(chosen, key=x)
        for name, key, colour in LINES:
            axes.loglog([x(row) for row in chosen], [row[key] for row in chosen], color=colour, label=name, marker=".")
        axes.set_xlabel(label)
        axes.set_ylabel("seconds")
        axes.grid(visible=True)
    by_batch.legend()
    return figure


def draw(rows: Sequence[Row], path: Path) -> None:
    if any(row["work"] == "sampling" for row in rows):
        save_figure(growth(rows), path)
