"""Machine code for a function of tensors whose shapes stay the same."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

Function = Callable[[Tensor, Tensor], Tensor]


class Compiled:
    """A function of (x, label) that is compiled when first called, for the shapes of that call.

    Operations are recorded before they are compiled, so that the function may be any Python. Compiling takes some 30 s
    on a few cores, once for a machine: PyTorch keeps the result in a folder. Where it fails, for want of a C++ compiler
    say, one warning tells, and the function itself goes on.

    Args:
        function: It may read weights, which must stay as they are.
    """

    def __init__(self, function: Function):
        self.function = function
        self.ready: Function | None = None

    def __call__(self, x: Tensor, label: Tensor) -> Tensor:
        if self.ready is not None:
            return self.ready(x, label)
        try:
            with torch.no_grad():
                recorded = make_fx(lambda x, label: self.function(x, label))(x, label)  # bound methods confuse it
                # freezing: weights are laid out for the convolutions once
                options: dict[str, str | int | bool | Callable[..., Any]] = {"freezing": x.device.type == "cpu"}
                self.ready = torch.compile(recorded, fullgraph=True, dynamic=False, options=options)
                return self.ready(x, label)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            warnings.warn(f"scoring goes on without compiling, more slowly ({reason})", RuntimeWarning, stacklevel=2)
            self.ready = self.function
            return self.function(x, label)
