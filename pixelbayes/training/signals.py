"""Handling of SIGINT (Ctrl-C) and SIGTERM for the time of a block."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handling_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Inside the block, SIGINT and SIGTERM call the handler. Outside the main thread it has no effect."""
    if not in_main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def in_main_thread() -> bool:
    """Only the main thread can handle signals."""
    return threading.current_thread() is threading.main_thread()
