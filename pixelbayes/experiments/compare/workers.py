"""Runs in turn, or side by side; one that fails says why, one that was stopped goes on."""

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch
from rich.console import Console

from pixelbayes.experiments.compare.entries import Contender
from pixelbayes.utils.errors import DivergedError, InputError, InterruptedRunError
from pixelbayes.utils.files import write_text
from pixelbayes.utils.progress import track

FAILURE = "failure.txt"  # in the folder of a run that failed: why

Waiting = tuple[Contender, int, Path, str]


def run_in_turn(waiting: Sequence[Waiting]) -> None:
    console = Console(stderr=True, highlight=False)
    began = time.monotonic()
    for number, (contender, seed, run, report_on) in enumerate(waiting):
        left = (time.monotonic() - began) / number * (len(waiting) - number) if number else None
        console.rule(
            f"run {number + 1} of {len(waiting)}: {contender.name}, seed {seed}"
            + (f", about {left / 60:.0f} minutes left" if left is not None else "")
        )
        run_one(contender, seed, run, report_on)


def run_side_by_side(waiting: Sequence[Waiting], workers: int) -> None:
    """Each run's lines go to log.txt in its folder; a bar counts the runs."""
    threads = max(1, torch.get_num_threads() // workers)
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        futures = [pool.submit(_run_apart, *one, threads) for one in waiting]
        for future in track(as_completed(futures), "runs", len(futures)):
            future.result()
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.terminate()  # it saves its state first
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise InterruptedRunError("stopped; the same command goes on", number)


def _run_apart(contender: Contender, seed: int, run: Path, report_on: str, threads: int) -> None:
    torch.set_num_threads(threads)
    run.mkdir(parents=True, exist_ok=True)
    with (run / "log.txt").open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
        run_one(contender, seed, run, report_on)


def run_one(contender: Contender, seed: int, run: Path, report_on: str) -> None:
    """One run; if it fails, its folder says why."""
    (run / FAILURE).unlink(missing_ok=True)
    try:
        contender.train(seed, run, report_on)
    except (InputError, DivergedError, RuntimeError) as error:
        if isinstance(error, InterruptedRunError):
            raise
        write_text(run / FAILURE, f"{error}\n")
        Console(stderr=True).print(f"failed: {error}", style="red", markup=False)
