"""`make bench`: times every case in its own process. Writes JSON lines, a plot, and tables into docs/performance.md."""

import argparse
import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.cold_start import cold_start
from benchmarks.report import draw, machine, write_table
from benchmarks.sampling import sampling
from benchmarks.scoring import scoring
from benchmarks.training import training
from pixelbayes.utils.devices import pick_device

FOLDER = Path(__file__).parents[1] / "docs" / "performance"

Case = Callable[[], dict[str, Any]]


def cases(device: str, repeats: int) -> Iterator[tuple[str, Case]]:
    """The name and the function of each row."""
    for batch in (1, 2, 4, 8, 16, 25, 32, 64, 128, 256):
        yield f"sampling {batch} images of 32 x 32", partial(sampling, batch, 32, device, repeats)
    for size in (16, 64):
        yield f"sampling 16 images of {size} x {size}", partial(sampling, 16, size, device, repeats)
    yield "cold start, 25 images", partial(cold_start, device, repeats)
    for fusion in ("film", "bottleneck", "output-concat"):  # the conditioning point decides what the classes share
        yield f"scoring under 4 classes, {fusion}", partial(scoring, 4, device, repeats, fusion)
    for batch in (16, 64):
        yield f"training at batch {batch}", partial(training, batch, device, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of each comparison (default: %(default)s)")
    parser.add_argument("--only", nargs="+", default=[""], help="measure only rows whose names start with one of these")
    options = parser.parse_args()
    device = str(pick_device(options.device))
    console = Console(highlight=False)
    path = FOLDER / f"{device}.jsonl"
    before = {row["name"]: row for row in map(json.loads, path.read_text().splitlines())} if path.is_file() else {}
    every = [name for name, _ in cases(device, options.repeats)]
    rows = {name: before[name] for name in every if name in before}
    FOLDER.mkdir(exist_ok=True)
    chosen = [(name, case) for name, case in cases(device, options.repeats) if name.startswith(tuple(options.only))]
    for number, (name, case) in enumerate(chosen, 1):
        console.print(f"{number} of {len(chosen)}: {name}")
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn) as process:  # a process for each case, because its peak memory is measured
            rows[name] = {"name": name, **process.submit(case).result(), "machine": machine(device)}
        console.print_json(json.dumps(rows[name]))
        path.write_text("".join(json.dumps(row) + "\n" for row in in_order(rows, every)), encoding="utf-8")
    write_table(in_order(rows, every), device, FOLDER.parent / "performance.md")
    draw(in_order(rows, every), FOLDER / f"{device}.png")
    console.print(f"wrote {path}, the plot beside it, and docs/performance.md")


def in_order(rows: dict[str, Any], names: list[str]) -> list[Any]:
    """The measured rows, in the order of `cases`."""
    return [rows[name] for name in names if name in rows]


if __name__ == "__main__":
    main()
