"""The results as Markdown tables and as a plot."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from pixelbayes.plots.style import BLUE, SOFT, VERMILLION, save_figure, styled
from pixelbayes.utils.files import write_text

Row = dict[str, Any]

LINES = (
    ("reference", "reference_seconds", SOFT),
    ("cached", "cached_seconds", BLUE),
    ("compiled", "compiled_seconds", VERMILLION),
)


def machine(device: str) -> str:
    """The machine, as a phrase."""
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
    """Replaces the tables between the page's markers for that device; the rest of the page is written by hand."""
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
        "reference (s)": _number("reference_seconds", 1),
        "cached (s)": _number("cached_seconds", 2),
        "compiled (s)": _number("compiled_seconds", 2),
        "reference / compiled": _number("speedup", 0),
        "compiled / forward": _number("forward_passes", 1),
        "images/s": _number("images_per_second", 1),
        "share of the floor": _number("share_of_floor", 2),
        "peak memory": _number("peak_memory_mib", 0, " MiB"),
    },
    "scoring": {
        "scoring: classes": _number("classes", 0),
        "fusion": lambda row: row["fusion"],
        "reference (images/s)": _number("reference_images_per_second", 1),
        "one pass": _number("one_pass_images_per_second", 1),
        "compiled": _number("compiled_images_per_second", 1),
        "compiled / reference": _number("speedup", 2),
        "in bf16": _number("bf16_images_per_second", 1),
        "bf16 / reference": _number("bf16_speedup", 2),
        "share of the floor": _number("share_of_floor", 2),
        "peak memory": _number("peak_memory_mib", 0, " MiB"),
    },
    "training": {
        "training: batch": _number("batch", 0),
        "eager (images/s)": _number("eager_images_per_second", 1),
        "bf16": _number("bf16_images_per_second", 1),
        "compiled": _number("compiled_images_per_second", 1),
        "compiled, bf16": _number("compiled_bf16_images_per_second", 1),
        "compiled, bf16 / eager": _number("speedup", 2),
        "the same with Lightning": _number("lightning_images_per_second", 1),
        "Lightning / bare loop": _number("lightning_share", 2),
        "share of the floor": _number("share_of_floor", 2),
        "peak memory": _number("peak_memory_mib", 0, " MiB"),
    },
    "cold start": {
        "cold start: 25 images": _number("seconds", 1, " s"),
        "peak memory": _number("peak_memory_mib", 0, " MiB"),
    },
}


def scaling(rows: Sequence[Row]) -> dict[str, dict[int, Row]]:
    """For each varied size, its values and their rows; sizes with a single value are left out."""
    found = [row for row in rows if row["work"] == "sampling"]
    panels = {
        "images of 32 x 32": {row["batch"]: row for row in found if row["size"] == 32},
        "pixels of each of 16 images": {row["size"] ** 2: row for row in found if row["batch"] == 16},
    }
    return {label: by_x for label, by_x in panels.items() if len(by_x) > 1}


@styled
def plot_scaling(panels: dict[str, dict[int, Row]]) -> Figure:
    """Seconds by each varied size, on logarithmic axes."""
    figure = Figure(figsize=(4 * len(panels), 3.4), layout="constrained")
    for (label, by_x), axes in zip(panels.items(), figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        for name, key, colour in LINES:
            axes.loglog(sorted(by_x), [by_x[x][key] for x in sorted(by_x)], color=colour, label=name, marker=".")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(label)
        axes.set_ylabel("seconds")
        axes.grid(visible=True)
        axes.legend()
    return figure


def draw(rows: Sequence[Row], path: Path) -> None:
    panels = scaling(rows)
    if panels:
        save_figure(plot_scaling(panels), path)
