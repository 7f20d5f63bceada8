"""The processes of one run: those that `torchrun` has begun, or those begun here."""

import multiprocessing
import os
import pickle
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

from pixelbayes.utils.errors import DivergedError, InputError, InterruptedRunError


def launched() -> bool:
    """Whether this process is one of several that train together."""
    return "LOCAL_RANK" in os.environ and "WORLD_SIZE" in os.environ


def machines() -> int:
    return int(os.environ["WORLD_SIZE"]) // processes_here() if launched() else 1


def processes_here() -> int:
    """How many of them run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if launched() else 1


def in_processes(count: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in several processes that know of each other as `torchrun`'s do; returns the first one's answer.

    They are asked to stop by whatever asks this one: SIGINT and SIGTERM are handed on, and if it dies they get SIGTERM.

    Raises:
        Exception: What the first to fail has raised; the others are then ended.
    """
    context = multiprocessing.get_context("spawn")
    work = pickle.dumps((function, arguments))  # by value: each process has weights of its own
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers: dict[Connection, SpawnProcess] = {}
    try:
        with _handing_on(workers):
            for rank in range(count):
                receiver, sender = context.Pipe(duplex=False)
                workers[receiver] = context.Process(target=_work, args=(work, sender, rank, count, port))
                workers[receiver].start()
                sender.close()
            return _first_answer(list(workers))
    finally:
        for process in workers.values():
            process.join(timeout=10)
            process.kill()


def _first_answer(receivers: list[Connection]) -> Any:
    answers: dict[Connection, Any] = {}
    while len(answers) < len(receivers):
        for receiver in wait([each for each in receivers if each not in answers]):
            assert isinstance(receiver, Connection)
            try:
                answers[receiver], error = receiver.recv()
            except EOFError:
                error = RuntimeError("a process of the run has died; its memory may not have sufficed")
            if error is not None:
                raise error
    return answers[receivers[0]]


@contextmanager
def _handing_on(workers: dict[Connection, SpawnProcess]) -> Iterator[None]:
    def hand_on(number: int, frame: FrameType | None) -> None:
        for process in workers.values():
            if process.pid and process.is_alive():
                os.kill(process.pid, number)

    if threading.current_thread() is not threading.main_thread():  # Python leaves signals to the main one
        yield
        return
    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(work: bytes, sender: Connection, rank: int, count: int, port: int) -> None:
    os.setsid()  # a terminal's Ctrl-C reaches the parent alone, which hands it on once
    threading.Thread(target=_outlive_no_parent, daemon=True).start()
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "pixelbayes",  # by this Lightning knows that it need not begin processes
    }
    try:
        function, arguments = pickle.loads(work)
        sender.send((function(*arguments), None))
    except (InputError, DivergedError, InterruptedRunError) as error:
        sender.send((None, error))
    except BaseException:  # whatever it is, the parent shall tell it
        sender.send((None, RuntimeError(traceback.format_exc())))
    finally:
        sender.close()


def _outlive_no_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
