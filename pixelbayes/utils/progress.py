"""Progress bars with the remaining time. They appear on a terminal only, so that logs and pipes stay clean."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

T = TypeVar("T")

Tracker = Callable[[Sequence[int]], Iterable[int]]
"""Wraps the sequence of a long loop, to show progress."""


def no_progress(items: Sequence[int]) -> Iterable[int]:
    """The tracker that shows nothing."""
    return items


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yields the items and counts them with a progress bar on stderr.

    Args:
        items: The items.
        description: Text beside the bar.
        total: Number of items; not needed if they have a length.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pixelbayes.utils.console import make_console

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=make_console(stderr=True), transient=True) as progress:
        yield from progress.track(items, description=description, total=total)


def tracker(description: str) -> Tracker:
    """A tracker that shows a progress bar with this description."""
    return partial(track, description=description)
