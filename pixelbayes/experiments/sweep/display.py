"""Shows a running sweep: a table of the workers on a terminal, or a line for each trial elsewhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pixelbayes.utils.console import make_console


@dataclass
class WorkerState:
    """What a worker does.

    Args:
        name: Name of its run.
        settings: The searched fields, as text.
        epochs: Number of epochs of the run.
        epoch: Number of epochs that are done.
        value: The first objective after the last one; None before.
        started: Start of the run, on the monotonic clock.
    """

    name: str
    settings: str
    epochs: int
    epoch: int = 0
    value: float | None = None
    started: float = field(default_factory=time.monotonic)


class Display:
    """The state of a sweep, for people.

    Args:
        metric: The first objective.
        format_value: Its values as text.
    """

    def __init__(self, metric: str, format_value: Callable[[float | None], str]):
        self.metric, self.format_value = metric, format_value
        self.console = make_console(stderr=True, highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, auto_refresh=False, transient=True) if self.console.is_terminal else None
        self.workers: dict[int, WorkerState] = {}
        self.summary = ""

    def __enter__(self) -> "Display":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.live:
            self.live.stop()

    def say(self, line: str) -> None:
        """Prints a line that stays."""
        self.console.print(line)

    def refresh(self) -> None:
        if self.live:
            self.live.update(Group(self._table(), Text(self.summary)), refresh=True)

    def _table(self) -> Table:
        table = Table("worker", "run", "settings", "epoch", self.metric, "time")
        for number, state in sorted(self.workers.items()):
            table.add_row(
                str(number),
                state.name,
                state.settings,
                f"{state.epoch}/{state.epochs}",
                self.format_value(state.value),
                f"{(time.monotonic() - state.started) / 60:.1f} min",
            )
        return table
