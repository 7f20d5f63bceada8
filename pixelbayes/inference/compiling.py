"""Machine code for a function of tensors whose shapes stay the same."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

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
