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


Function = Callable[[Tensor, Tensor], Tensor]


class Compiled:
    """A function of (x, label) that is compiled when first called, for the shapes of that call.

    Operations are recorded before they are compiled, so that the function may be any Python. Compiling takes some 30 s
    on a few cores, once for a machine: PyTorch keeps the result in a folder. Where it fails, for want of a C++ compiler
    say, one warning tells, and the function itself goes on.

    Args:
        function: It may read weights, which must stay as they are.
        freeze: Lay the weights out for the convolutions, once: for a CPU, and not for float64, where it fails.
    """

    def __init__(self, function: Function, *, freeze: bool):
        self.function = function
        self.freeze = freeze
        self.ready: Function | None = None

    def __call__(self, x: Tensor, label: Tensor) -> Tensor:
        if self.ready is not None:
            return self.ready(x, label)
        try:
            from torch._inductor import config as compiler  # takes a second to import
            from torch.fx.experimental.proxy_tensor import make_fx

            with torch.no_grad():
                recorded = make_fx(lambda x, label: self.function(x, label))(x, label)  # bound methods confuse it
                # not in torch.compile's options, which come too late for it
                with compiler.patch(freezing=self.freeze):
                    self.ready = torch.compile(recorded, fullgraph=True, dynamic=False)
                    return self.ready(x, label)
        except Exception as error:
            reason = " ".join((str(error).strip() or type(error).__name__).splitlines()[:2])  # "... raised:", what
            warnings.warn(f"scoring goes on without compiling, more slowly ({reason})", RuntimeWarning, stacklevel=2)
            self.ready = self.function
            return self.function(x, label)
