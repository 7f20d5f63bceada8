"""Output for people."""

from typing import Any

from rich.console import Console


def make_console(**options: Any) -> Console:
    """A console of rich that prints names as they are: `[red]` is no colour in it, and `:dog:` no picture.

    Args:
        options: As for `Console`, such as `stderr=True`.
    """
    return Console(markup=False, emoji=False, **options)
