"""Stops a run whose numbers are no numbers any more."""

import math

import torch
from torch import Tensor

from pixelbayes.utils.errors import DivergedError

EVERY = 50  # numbers between two looks at a device that is not the CPU, which would have to be waited for


class Watch:
    """Looks for the first number that is not finite: on a CPU at once; elsewhere now and then, for looking is waiting.

    Whoever saves weights calls `check` before.

    Args:
        remedies: What may help, for the message.
    """

    def __init__(self, remedies: str):
        self.remedies = remedies
        self.noted: list[tuple[str, int, Tensor]] = []

    def note(self, name: str, value: Tensor, step: int) -> None:
        """Takes in a number, shape (), as it was at a step."""
        self.noted.append((name, step, value.detach()))
        if value.device.type == "cpu" or len(self.noted) >= EVERY:
            self.check()

    def check(self) -> None:
        """Looks at all that was noted.

        Raises:
            DivergedError: If one is not finite; it names the first.
        """
        noted, self.noted = self.noted, []
        values = torch.stack([value for _, _, value in noted]).tolist() if noted else []
        for (name, step, _), value in zip(noted, values, strict=True):
            if not math.isfinite(value):
                raise DivergedError(
                    f"the {name} became {value} at step {step}; the last good weights are kept. {self.remedies}"
                )
