"""Trains runs one after another or in several processes, and records why a run failed.

`concurrent.futures.ProcessPoolExecutor` does not fit here: if one process is killed, it gives up all of them, and a
task cannot ask a question while it runs.
"""

import contextlib
import multiprocessing
import os
import pickle
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any, Protocol

import torch
from filelock import FileLock

from pixelbayes.data import ImageData
from pixelbayes.evaluation.history import Row, read_history
from pixelbayes.training.launch import end_with_parent
from pixelbayes.training.signals import handling_signals
from pixelbayes.utils.console import make_console
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import DivergedError, InputError, InterruptedRunError, StoppedEarlyError
from pixelbayes.utils.files import write_text
from pixelbayes.utils.progress import track
from pixelbayes.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from pixelbayes.training.callbacks import OnEpoch  # Lightning takes seconds to import

MAX_DEATHS = 3  # of the processes of one run
POLL_SECONDS = 0.5  # after which a signal takes effect
STOPPED = "stopped; the same command continues"


class Trainable(Protocol):
    """What a job trains, such as an `Entry` of a comparison."""

    @property
    def name(self) -> str: ...

    def train(
        self, seed: int, folder: RunFolder, eval_split: str, data: ImageData | None, on_epoch: "OnEpoch | None"
    ) -> dict[str, Any]:
        """Trains with a seed into a run folder, or resumes the run there; returns its metrics."""
        ...


@dataclass(frozen=True)
class Job:
    """One run.

    Args:
        entry: What to train.
        seed: The random seed.
        folder: The run folder.
        eval_split: The split to measure at the end.
        is_watched: Whether each epoch waits for `WorkerPool.answer`, after the `EpochEnded` of each earlier one.
    """

    entry: Trainable
    seed: int
    folder: RunFolder
    eval_split: str = "validation"
    is_watched: bool = False


@dataclass(frozen=True)
class EpochEnded:
    """An epoch of a watched job was saved. The worker waits for an answer.

    Args:
        worker: Number of the worker.
        job: The job.
        row: The row of the history.
    """

    worker: int
    job: Job
    row: Row


@dataclass(frozen=True)
class JobEnded:
    """A job ended.

    Args:
        worker: Number of the worker.
        job: The job.
        metrics: The metrics of the run; empty if it did not finish.
        failure: Why it failed; empty if it did not.
        stopped_early: Whether the answer to its last epoch stopped it.
    """

    worker: int
    job: Job
    metrics: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    stopped_early: bool = False


def default_workers(device: str) -> int:
    """Number of runs at a time that suits this machine: one per core, or per GPU."""
    kind = pick_device(device).type
    return torch.cuda.device_count() if kind == "cuda" else 1 if kind == "mps" else len(os.sched_getaffinity(0))


def run_in_turn(jobs: Sequence[Job], data: ImageData) -> None:
    """Runs one job after another in this process."""
    console = make_console(stderr=True, highlight=False)
    started = time.monotonic()
    for number, job in enumerate(jobs):
        left = (time.monotonic() - started) / number * (len(jobs) - number) if number else None
        console.rule(
            f"run {number + 1} of {len(jobs)}: {job.entry.name}, seed {job.seed}"
            + (f", about {left / 60:.0f} minutes left" if left is not None else "")
        )
        run_job(job, data)


def run_in_parallel(jobs: Sequence[Job], data: ImageData, workers: int, device: str) -> None:
    """Runs jobs in several processes. The messages of a run go to the log in its folder; a bar counts the runs."""
    for _ in track(_ended(jobs, data, workers, device), "runs", len(jobs)):
        pass


def _ended(jobs: Sequence[Job], data: ImageData, workers: int, device: str) -> Iterator[JobEnded]:
    waiting, running = list(jobs), 0
    with stop_signals() as signals, WorkerPool(workers, data, device) as pool:
        while waiting or running:
            if signals:
                raise InterruptedRunError(STOPPED, signals[0])
            while waiting and (idle := pool.idle):
                pool.start(idle[0], waiting.pop(0))
                running += 1
            for event in pool.events(POLL_SECONDS):
                if isinstance(event, JobEnded):
                    running -= 1
                    yield event


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Inside the block, SIGINT and SIGTERM only add their number to the list; the second one interrupts at once."""
    signals: list[int] = []

    def note(number: int, _: object) -> None:
        signals.append(number)
        if len(signals) > 1:
            raise KeyboardInterrupt

    with handling_signals(note):
        yield signals


class WorkerPool:
    """Processes that each train one run at a time.

    If a process is killed, another one resumes its run. At the end of the block the runs that are not finished are
    saved. If this process dies, its workers save their runs and end.

    Args:
        count: Number of workers.
        data: The images of all runs; None if each run loads its own.
        device: The device of the runs; several GPUs are distributed over the workers.
    """

    def __init__(self, count: int, data: ImageData | None, device: str):
        self.data = pickle.dumps(data)  # a copy for each worker, because shared memory is small in many containers
        self.threads = max(1, torch.get_num_threads() // count)
        self.gpus = torch.cuda.device_count() if pick_device(device).type == "cuda" else 0
        self.workers = [_Worker(number) for number in range(count)]

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends all processes. Runs that are not finished are saved."""
        processes = [worker.process for worker in self.workers if worker.process is not None]
        try:
            for process in processes:
                process.terminate()  # a run saves its state before it ends
            for worker in self.workers:
                if worker.connection is not None:
                    worker.connection.close()  # or a worker that waits for an answer would wait on
            for process in processes:
                process.join()
        finally:
            for process in processes:
                process.kill()
            for worker in self.workers:
                worker.process = worker.connection = worker.job = None

    @property
    def idle(self) -> list[int]:
        """The workers without a job."""
        return [worker.number for worker in self.workers if worker.job is None]

    def start(self, number: int, job: Job) -> None:
        """Gives a job to an idle worker."""
        worker = self.workers[number]
        worker.job, worker.deaths = job, 0
        self._send(worker)

    def answer(self, number: int, goes_on: bool) -> None:
        """Answers the `EpochEnded` of a worker: whether its run goes on."""
        connection = self.workers[number].connection
        assert connection is not None
        with contextlib.suppress(ConnectionError):  # the worker has died, which `events` notices
            connection.send(goes_on)

    def events(self, timeout: float) -> list[EpochEnded | JobEnded]:
        """What has happened; waits for at most `timeout` seconds.

        Raises:
            OSError: If a worker could not read or write a file.
        """
        busy = {worker.connection: worker for worker in self.workers if worker.job is not None and worker.connection}
        found = (self._event(busy[connection]) for connection in wait(list(busy), timeout))  # type: ignore[index]
        return [event for event in found if event is not None]

    def _event(self, worker: "_Worker") -> EpochEnded | JobEnded | None:
        assert worker.connection is not None
        assert worker.process is not None
        assert worker.job is not None
        try:
            kind, content = worker.connection.recv()
        except (EOFError, ConnectionError):
            worker.process.join()
            return self._after_death(worker, worker.process.exitcode)
        if kind == "epoch":
            return EpochEnded(worker.number, worker.job, content)
        if kind == "error":
            raise content
        job, worker.job = worker.job, None
        return JobEnded(worker.number, job, **content)

    def _after_death(self, worker: "_Worker", status: int | None) -> JobEnded | None:
        job = worker.job
        assert job is not None
        worker.process, worker.deaths = None, worker.deaths + 1
        if worker.deaths < MAX_DEATHS:
            self._send(worker)
            return None
        worker.job = None
        how = f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"
        failure = f"its process ended {MAX_DEATHS} times, at last by {how}; possibly the memory was not sufficient"
        write_text(job.folder.failure, f"{failure}\n")
        return JobEnded(worker.number, job, failure=failure)

    def _send(self, worker: "_Worker") -> None:
        """Sends its job to a worker, and starts its process if there is none."""
        if worker.process is None:
            context = multiprocessing.get_context("spawn")
            worker.connection, theirs = context.Pipe()
            gpu = worker.number % self.gpus if self.gpus else None
            worker.process = context.Process(target=_work, args=(theirs, self.threads, gpu))
            worker.process.start()
            theirs.close()
            with contextlib.suppress(ConnectionError):
                worker.connection.send_bytes(self.data)
        assert worker.connection is not None
        with contextlib.suppress(ConnectionError):
            worker.connection.send(worker.job)


@dataclass
class _Worker:
    """A worker, as its pool sees it."""

    number: int
    process: SpawnProcess | None = None
    connection: "Connection[Any, Any] | None" = None
    job: Job | None = None
    deaths: int = 0


def _work(connection: "Connection[Any, Any]", threads: int, gpu: int | None) -> None:
    """The main function of a worker: runs the jobs that the connection brings, until it is closed."""
    os.setsid()  # Ctrl-C on a terminal then reaches only the parent
    end_with_parent()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)  # before the first use of a GPU
    torch.set_num_threads(threads)
    data = pickle.loads(connection.recv_bytes())
    with contextlib.suppress(EOFError, ConnectionError, InterruptedRunError):
        while True:
            job = connection.recv()
            job.folder.path.mkdir(parents=True, exist_ok=True)
            try:
                with job.folder.log.open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
                    content = run_job(job, data, _Watch(connection) if job.is_watched else None)
            except OSError as error:  # such as a full disk, which all runs would meet
                connection.send(("error", error))
            else:
                connection.send(("ended", content))


@dataclass(frozen=True)
class _Watch:
    """Sends each epoch of a run to the pool and waits for the answer."""

    connection: "Connection[Any, Any]"

    def __call__(self, row: Row) -> bool:
        self.connection.send(("epoch", row))
        goes_on: bool = self.connection.recv()
        return goes_on


def run_job(job: Job, data: ImageData | None, on_epoch: "OnEpoch | None" = None) -> dict[str, Any]:
    """Runs one job. If it fails, the reason is written into its folder.

    Args:
        job: The job.
        data: The images; None if the run loads its own.
        on_epoch: Watches the epochs, also those that an earlier part of the run has trained.

    Returns:
        The arguments of `JobEnded`, besides worker and job.

    Raises:
        InterruptedRunError: If a signal stopped the run.
        OSError: If a file cannot be read or written.
    """
    job.folder.path.mkdir(parents=True, exist_ok=True)
    with FileLock(job.folder.path / ".lock"):  # a worker whose parent was killed may still save its state
        job.folder.failure.unlink(missing_ok=True)
        try:
            if on_epoch and not all(map(on_epoch, read_history(job.folder.history))):
                return {"stopped_early": True}
            return {"metrics": job.entry.train(job.seed, job.folder, job.eval_split, data, on_epoch)}
        except StoppedEarlyError:
            return {"stopped_early": True}
        except (InterruptedRunError, OSError, EOFError):  # the last one if the pool has gone
            raise
        except Exception as error:
            known = isinstance(error, InputError | DivergedError | RuntimeError)
            failure = str(error) if known and str(error) else f"{type(error).__name__}: {error}"
            write_text(job.folder.failure, f"{failure}\n" + ("" if known else f"\n{traceback.format_exc()}"))
            make_console(stderr=True).print(f"failed: {failure}", style="red")
            return {"failure": failure}
