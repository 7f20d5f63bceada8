"""Progress bars with the time left, on a terminal only; logs and pipes stay clean."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

T = TypeVar("T")
Tracker = Callable[[Sequence[int]], Iterable[int]]  # wraps the loop of long work


def no_progress(items: Sequence[int]) -> Iterable[int]:
    return items


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yields the items while a bar on stderr counts them."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, description=description, total=total)


def tracker(description: str) -> Tracker:
    """`track` under this name, for those who take a tracker."""
    return partial(track, description=description)
