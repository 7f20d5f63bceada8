"""Errors that a person can act on: the command line prints them without a traceback."""

import errno
from collections.abc import Callable, Iterable
from typing import Any

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of the errors of a full disk, of a quota and of a limit on the size of a file."""


class InputError(ValueError):
    """Input from the user that cannot be used. The message names the file or field and the remedy.

    The message has one line per fault. The command line exits with status 2.
    """

    @classmethod
    def listing(cls, faults: list[str], most: int = 20) -> "InputError":
        """One error for several faults, one line each; faults beyond `most` are only counted."""
        lines = faults[:most]
        if len(faults) > most:
            lines.append(f"... and {len(faults) - most} more faults like these")
        return cls("\n".join(lines))


class MissingPackageError(InputError):
    """A package of an extra that is needed and not installed. The message says what to install."""


class DivergedError(RuntimeError):
    """The loss or the gradient norm was not finite. The command line exits with status 1."""


class InterruptedRunError(RuntimeError):
    """Training stopped on request and can be resumed.

    Args:
        message: Where it stopped and how to resume.
        signal: Number of the signal. The command line exits with status 128 + signal, which is 130 for Ctrl-C.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal

    def __reduce__(self) -> tuple[type["InterruptedRunError"], tuple[str, int]]:
        return type(self), (str(self), self.signal)  # lets another process receive it


class StoppedEarlyError(InterruptedRunError):
    """Training stopped after an epoch, because whoever watches the run did not want more of it. It can be resumed."""


def check_fields(config: object, names: Iterable[str], is_valid: Callable[[Any], bool], expected: str) -> None:
    """Checks a bound that several fields of a config share.

    Raises:
        InputError: If a field is out of bounds; the message names it, its value and what was expected.
    """
    for name in names:
        value = getattr(config, name)
        if not is_valid(value):
            raise InputError(f"{name} is {value!r}, expected {expected}")
