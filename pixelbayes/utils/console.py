"""Output of rich that shows text as it is: a class may be called "[red]" or ":cat:", which rich takes for markup."""

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """A console that neither interprets nor colours what it prints.

    >>> plain_console().print("[red] :cat: 1")
    [red] :cat: 1
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
