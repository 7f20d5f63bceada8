"""Where a sweep keeps its trials: a journal in its folder, or a database that several machines share."""

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError

from pixelbayes.utils.console import make_console
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import write_text

T = TypeVar("T")

JOURNAL = "journal.log"  # in the folder of a sweep
TABLES_LOCK = 0x70697862  # the number of our lock in PostgreSQL
CONNECT_SECONDS = 10  # to wait for a database
PATIENCE_SECONDS = 600.0  # in which a database that was reached before may be away
WAIT_SECONDS = (0.5, 15.0)  # between two attempts, at first and at most

OutOfReach = (StorageInternalError, OperationalError, InterfaceError)
"""What Optuna raises while a database cannot be reached."""


class ProcessLock(JournalFileOpenLock):
    """A lock of the journal that the operating system releases if its process dies."""

    def __init__(self, path: Path):
        super().__init__(str(path))
        self.lock = FileLock(path)

    def acquire(self) -> bool:
        self.lock.acquire()
        return True

    def release(self) -> None:
        self.lock.release()


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Inside the block, Optuna neither logs nor warns of what we use on purpose."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=ExperimentalWarning)
            warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used with")
            warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator computes the importances")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def continue_later(study: optuna.Study, trial: FrozenTrial) -> None:
    """Adds a waiting trial that continues the run of another one."""
    RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, trial)


@contextmanager
def only_sweep_in(folder: Path) -> Iterator[None]:
    """Inside the block, this process alone runs the sweep in a folder.

    Raises:
        InputError: If another process does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".sweep.lock", timeout=0):
            yield
    except Timeout:
        raise InputError(
            f"another process runs the sweep in {folder}; wait for it, or give several machines a --storage"
        ) from None


def open_journal(folder: Path) -> BaseStorage:
    """The storage in the journal of a folder.

    A last line that was not written to its end, as after a power failure, is moved to a file beside the journal.

    Raises:
        InputError: If another line is damaged.
    """
    path = folder / JOURNAL
    if path.is_file():
        _repair(path)
    return JournalStorage(JournalFileBackend(str(path), ProcessLock(path.with_suffix(".lock"))))


def _repair(path: Path) -> None:
    *lines, last = path.read_bytes().split(b"\n")
    if last:
        write_text(path.with_suffix(".torn"), last.decode(errors="backslashreplace") + "\n")
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - len(last))
        make_console(stderr=True, highlight=False, soft_wrap=True).print(
            f"{path}: the last line was not written to its end; it is in {path.with_suffix('.torn').name} now"
        )
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except ValueError:
            raise InputError(
                f"{path}: line {number} is damaged; restore the file from a copy, or start anew with another --out"
            ) from None


@contextmanager
def open_database(url: str, heartbeat: int) -> Iterator[RDBStorage]:
    """The storage in a database, for a `with` block; its tables are created if they are missing.

    Args:
        url: As of SQLAlchemy.
        heartbeat: Seconds between signs of life.

    Raises:
        InputError: If it cannot be opened.
    """
    options: dict[str, Any] = {"pool_pre_ping": True}  # a connection that a restarted server has closed is replaced
    try:
        if make_url(url).get_backend_name() == "postgresql":
            options["connect_args"] = {"connect_timeout": CONNECT_SECONDS}
        with _alone_in(url, options):
            storage = RDBStorage(
                url,
                engine_kwargs=options,
                heartbeat_interval=heartbeat,
                grace_period=3 * heartbeat,
                heartbeat_stale_trial_callback=continue_later,
            )
    except (ArgumentError, NoSuchModuleError, ValueError, KeyError):
        raise InputError(
            f"storage {_without_password(url)}: not the URL of a database; expected a form such as "
            "postgresql+psycopg://user@host/name"
        ) from None
    except ImportError as error:
        raise InputError(
            f"storage {_without_password(url)} needs the package {error.name}; for PostgreSQL: "
            "pip install 'pixelbayes[postgresql]'"
        ) from None
    except (StorageInternalError, SQLAlchemyError, RuntimeError) as error:
        raise InputError(f"storage {_without_password(url)} cannot be opened ({reason(error)})") from None
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def _alone_in(url: str, options: dict[str, Any]) -> Iterator[None]:
    """Inside the block, no other process creates tables, because two at a time fail; in PostgreSQL only."""
    if "connect_args" not in options:
        yield
        return
    engine = create_engine(url, poolclass=NullPool, connect_args=options["connect_args"])
    with engine.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({TABLES_LOCK})"))
        yield


def reason(error: BaseException) -> str:
    """The first line of what the database says."""
    inner = getattr(error, "orig", None) or error.__cause__ or error
    inner = getattr(inner, "orig", None) or inner
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return lines[0] if lines else type(inner).__name__


def _without_password(url: str) -> str:
    before, at, after = url.rpartition("@")
    scheme, slashes, user = before.partition("://")
    return f"{scheme}{slashes}{user.partition(':')[0]}{at}{after}"


def patiently(work: Callable[[], T], patience: float = PATIENCE_SECONDS) -> T:
    """Calls a function until the database answers.

    Raises:
        InputError: If it does not answer for `patience` seconds.
    """
    started, pause = time.monotonic(), WAIT_SECONDS[0]
    while True:
        try:
            return work()
        except OutOfReach as error:
            if time.monotonic() - started > patience:
                raise InputError(
                    f"the storage has been out of reach for {patience:.0f} s ({reason(error)}); nothing is lost: "
                    "repeat the command when it is back"
                ) from None
            if pause == WAIT_SECONDS[0]:
                make_console(stderr=True, highlight=False, soft_wrap=True).print(
                    f"the storage is out of reach ({reason(error)}); trying again"
                )
            time.sleep(pause)
            pause = min(2 * pause, WAIT_SECONDS[1])
