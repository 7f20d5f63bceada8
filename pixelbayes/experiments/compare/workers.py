"""Trains the runs of a comparison one after another or in several processes, and records why a run failed."""

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

import torch

from pixelbayes.data import ImageData
from pixelbayes.experiments.compare.entries import Entry
from pixelbayes.utils.console import plain_console
from pixelbayes.utils.errors import DivergedError, InputError, InterruptedRunError
from pixelbayes.utils.files import write_text
from pixelbayes.utils.progress import track
from pixelbayes.utils.run_folder import RunFolder


@dataclass(frozen=True)
class Job:
    """One run of a comparison.

    Args:
        entry: What to train.
        seed: The random seed.
        folder: The run folder.
        eval_split: The split to measure at the end.
    """

    entry: Entry
    seed: int
    folder: RunFolder
    eval_split: str


def run_in_turn(jobs: Sequence[Job], data: ImageData) -> None:
    """Runs one job after another in this process."""
    console = plain_console(stderr=True)
    started = time.monotonic()
    for number, job in enumerate(jobs):
        left = (time.monotonic() - started) / number * (len(jobs) - number) if number else None
        console.rule(
            f"run {number + 1} of {len(jobs)}: {job.entry.name}, seed {job.seed}"
            + (f", about {left / 60:.0f} minutes left" if left is not None else "")
        )
        run_job(job, data)


def run_in_parallel(jobs: Sequence[Job], data: ImageData, workers: int) -> None:
    """Runs jobs in several processes. The messages of a run go to the log in its folder; a bar counts the runs."""
    threads = max(1, torch.get_num_threads() // workers)
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(data, threads)
    )
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        futures = [pool.submit(_run_in_worker, job) for job in jobs]
        for future in track(as_completed(futures), "runs", len(futures)):
            future.result()
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.terminate()  # it saves its state before it ends
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    raise InterruptedRunError("stopped; the same command continues", number)


_worker_data: list[ImageData] = []  # the data of the comparison, in a worker process


def _start_worker(data: ImageData, threads: int) -> None:
    torch.set_num_threads(threads)
    _worker_data.append(data)


def _run_in_worker(job: Job) -> None:
    job.folder.path.mkdir(parents=True, exist_ok=True)
    with job.folder.log.open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
        run_job(job, _worker_data[0])


def run_job(job: Job, data: ImageData) -> None:
    """Runs one job. If it fails, the reason is written into its folder."""
    job.folder.failure.unlink(missing_ok=True)
    try:
        job.entry.train(job.seed, job.folder.path, job.eval_split, data)
    except (InputError, DivergedError, RuntimeError) as error:
        if isinstance(error, InterruptedRunError):
            raise
        write_text(job.folder.failure, f"{error}\n")
        plain_console(stderr=True).print(f"failed: {error}", style="red")
