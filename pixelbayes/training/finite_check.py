"""Stops training when the loss or the gradient norm is not finite."""

import math

import torch
from torch import Tensor

from pixelbayes.utils.errors import DivergedError

INTERVAL = 50  # number of values recorded on a GPU between two checks


class FiniteCheck:
    """Finds the first value that is not finite.

    A value on the CPU is checked at once. Reading a value from a GPU waits for the GPU, so there INTERVAL values are
    collected and checked together. Call `check` before weights are saved.

    Args:
        remedies: What may help, for the message.
    """

    def __init__(self, remedies: str):
        self.remedies = remedies
        self.pending: list[tuple[str, int, Tensor]] = []

    def record(self, name: str, value: Tensor, step: int) -> None:
        """Records a value, shape (), of a step.

        Raises:
            DivergedError: As `check`.
        """
        self.pending.append((name, step, value.detach()))
        if value.device.type == "cpu" or len(self.pending) >= INTERVAL:
            self.check()

    def check(self) -> None:
        """Checks all values recorded since the last check.

        Raises:
            DivergedError: If a value is not finite; the message names the first.
        """
        pending, self.pending = self.pending, []
        values = torch.stack([value for _, _, value in pending]).tolist() if pending else []
        for (name, step, _), value in zip(pending, values, strict=True):
            if not math.isfinite(value):
                raise DivergedError(
                    f"the {name} became {value} at step {step}; the saved weights are from before. {self.remedies}"
                )
