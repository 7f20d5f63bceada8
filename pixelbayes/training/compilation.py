"""Steps as compiled code, where there is a compiler."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def compiled(function: Callable[P, Tensor], device: torch.device) -> Callable[P, Tensor]:
    """The function by torch.compile, for shapes that stay; itself, with a warning, where that does not work."""
    fault = _fault(device.type)
    if fault:
        warnings.warn(f"compile: torch.compile does not work here, training goes on without it: {fault}", stacklevel=2)
        return function
    return torch.compile(function, dynamic=False)


@cache
def _fault(device_type: str) -> str:
    """Why nothing can be compiled for a kind of device, in a line; empty if it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of its own parts
            torch.compile(torch.sin, fullgraph=True)(torch.zeros(64, device=device_type))
    except Exception as error:  # whatever a compiler may lack
        lines = [line for line in str(error).splitlines() if line and not line.endswith("raised:")]
        return lines[0] if lines else type(error).__name__
    return ""
