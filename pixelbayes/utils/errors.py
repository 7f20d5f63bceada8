"""Errors that a person can act on: the command line prints them without a traceback."""


class InputError(ValueError):
    """What the user gave cannot be used; the message names the file or field and the remedy.

    One line a fault; the command line exits with status 2.
    """

    @classmethod
    def listing(cls, faults: list[str], most: int = 20) -> "InputError":
        """One error for several faults, a line each; past `most` lines the rest are counted."""
        shown = faults[:most]
        if len(faults) > most:
            shown.append(f"... and {len(faults) - most} more faults like these")
        return cls("\n".join(shown))


class DivergedError(RuntimeError):
    """Training met a loss that is not finite; the command line exits with status 1."""


class InterruptedRunError(RuntimeError):
    """Training was asked to stop and has; it can be resumed.

    Args:
        message: Where it stopped and how to go on.
        signal: The signal's number; the command line exits with status 128 + signal, 130 for Ctrl-C.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal

    def __reduce__(self) -> tuple[type["InterruptedRunError"], tuple[str, int]]:
        return InterruptedRunError, (str(self), self.signal)  # so that it can be told to another process
