"""Starts the processes of a data-parallel run on one machine, unless `torchrun` has started them.

`torch.distributed.launcher.api.elastic_launch`, on which `torchrun` is built, does not fit here:

- It shares the tensors of the arguments between the processes, so they would overwrite each other's weights.
- It raises ChildFailedError or SignalException, never the error of the training function.
- After a signal it waits 30 s (configurable from torch 2.13 on) and then kills the processes. A run that is stopped
  during validation may need longer to save its state.
- Ctrl-C on a terminal reaches each process twice, and a second signal stops a run without saving.

`torch.multiprocessing.spawn` does not return results, forward signals or keep the class of an error.
"""

import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from pixelbayes.training.signals import handling_signals
from pixelbayes.utils.errors import DivergedError, InputError, InterruptedRunError

P = ParamSpec("P")
T = TypeVar("T")

GRACE_SECONDS = 10.0  # after an error, for the other processes to end by themselves
UNGUARDED = 77  # exit status of a process that was started by a script without a main guard


def is_launched() -> bool:
    """Whether this process is one of several that train together, started by `torchrun` or by `launch`."""
    return "LOCAL_RANK" in os.environ and "WORLD_SIZE" in os.environ


def num_local_processes() -> int:
    """Number of processes of the run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if is_launched() else 1


def num_machines() -> int:
    """Number of machines of the run."""
    return int(os.environ["WORLD_SIZE"]) // num_local_processes() if is_launched() else 1


def check_main() -> None:
    """Checks that this program can start processes; called before anything else of a run on several devices.

    Each new process imports the script of this one. A script that starts training while it is imported would start
    processes without end, so such an import ends here, without a word, and `launch` names the reason.

    Raises:
        InputError: If the program comes from standard input, which the processes cannot read again.
    """
    if is_launched():
        return
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # a new process, before its function
        os._exit(UNGUARDED)
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if main.__spec__ is None and file is not None and not Path(file).exists():
        raise InputError("several devices need a script in a file, but this one is read from standard input; save it")


def launch(count: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a function in several new processes, which find each other by the environment variables of `torchrun`.

    SIGINT and SIGTERM are forwarded to the processes. If this process dies, they receive SIGTERM.

    Args:
        count: Number of processes.
        function: The function; it and its arguments are pickled.
        args: Its arguments.
        kwargs: Its keyword arguments.

    Returns:
        The result of the first process.

    Raises:
        InputError: If the script of this program has no main guard.
        Exception: The error of the first process that fails; the others are ended.
    """
    context = multiprocessing.get_context("spawn")
    work = pickle.dumps((function, args, kwargs))  # here, because multiprocessing would share the tensors
    port = _free_port()
    processes: dict[Connection, SpawnProcess] = {}
    try:
        with _forwarding_signals(processes) as signals:
            for rank in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(target=_run, args=(theirs, rank, count, port))
                process.start()
                processes[ours] = process
                theirs.close()
            for connection in processes:
                # not as an argument, because `start` never returns if a process dies before it has read a long one
                with suppress(ConnectionError):  # the process has died, which `_first_result` reports
                    connection.send_bytes(work)
            result: T = _first_result(processes, signals)
            return result
    finally:
        for process in processes.values():
            process.join(timeout=GRACE_SECONDS)
            process.kill()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _first_result(processes: dict[Connection, SpawnProcess], signals: list[int]) -> Any:
    """Waits for the results of all processes and returns that of the first; raises the first error."""
    receivers = list(processes)
    results: dict[Connection, Any] = {}
    while len(results) < len(receivers):
        for receiver in wait([each for each in receivers if each not in results]):
            assert isinstance(receiver, Connection)
            try:
                results[receiver], error = receiver.recv()
            except (EOFError, ConnectionError):
                processes[receiver].join(GRACE_SECONDS)
                error = _death(signals, processes[receiver].exitcode)
            if error is not None:
                raise error
    return results[receivers[0]]


def _death(signals: list[int], status: int | None = None) -> Exception:
    if status == UNGUARDED:
        return InputError(
            "several devices need a script that trains only as the main program; put its code below "
            "`if __name__ == '__main__':`"
        )
    if signals:
        return InterruptedRunError("training stopped before its state was saved", signals[0])
    return RuntimeError("a process of the run died; possibly the memory was not sufficient")


@contextmanager
def _forwarding_signals(processes: dict[Connection, SpawnProcess]) -> Iterator[list[int]]:
    """Forwards SIGINT and SIGTERM; yields a list that receives the numbers of the forwarded signals."""
    signals: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        for process in processes.values():
            if process.pid and process.is_alive():
                os.kill(process.pid, number)

    with handling_signals(forward):
        yield signals


def _run(connection: Connection, rank: int, count: int, port: int) -> None:
    os.setsid()  # Ctrl-C on a terminal then reaches only the parent, which forwards it once
    end_with_parent()
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "pixelbayes",  # tells Lightning not to start processes
    }
    try:
        function, args, kwargs = pickle.loads(connection.recv_bytes())
        connection.send((function(*args, **kwargs), None))
    except (InputError, DivergedError, InterruptedRunError, OSError) as error:
        connection.send((None, error))
    except KeyboardInterrupt:
        connection.send((None, _death([signal.SIGINT])))
    except BaseException:  # other errors may not be picklable
        connection.send((None, RuntimeError(traceback.format_exc())))
    finally:
        connection.close()


def end_with_parent() -> None:
    """From now on this process receives SIGTERM when its parent has ended."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
