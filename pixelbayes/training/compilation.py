"""Steps as compiled code, where there is a compiler."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

F = TypeVar("F", bound=Callable[..., Tensor])


def compiled(function: F, device: torch.device) -> F:
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
        torch.compile(torch.sin, fullgraph=True)(torch.zeros(64, device=device_type))
    except Exception as error:  # whatever a compiler may lack
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return ""
