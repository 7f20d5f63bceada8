"""Everything that compiles code, and the private or experimental PyTorch APIs that it needs.

Private APIs, each with its reason and its fallback:

- `torch._inductor.config.patch(freezing=...)` lays out weights for convolutions ahead of time. As an option of
  `torch.compile` it would take effect too late. If it is missing, scoring continues uncompiled with a warning.
- `torch.fx.experimental.proxy_tensor.make_fx` records the operations of arbitrary Python code. If it is missing,
  scoring continues uncompiled with a warning.
- `torch.compiler.skip_all_guards_unsafe` (since torch 2.8) removes guards, which cost a sixth of a sampling step. What
  they guard never changes there. Without it the guards stay.
- The Inductor option `allow_buffer_reuse=False` works around a wrong result at batch size 1 (torch 2.13): a matrix
  product is written over its own summand. If the option is unknown, sampling continues uncompiled with a warning.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from types import FunctionType
from typing import Any, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")
Function = Callable[[Tensor, Tensor], Tensor]


def compile_training_step(function: Callable[P, Tensor], device: torch.device) -> Callable[P, Tensor]:
    """Compiles a function for constant shapes with torch.compile.

    Returns:
        The function itself, with a warning, where torch.compile does not work.
    """
    fault = _compiler_fault(device.type)
    if fault:
        warnings.warn(
            f"compile: torch.compile does not work here, training continues uncompiled: {fault}", stacklevel=2
        )
        return function
    return torch.compile(function, dynamic=False)


@cache
def _compiler_fault(device_type: str) -> str:
    """Why torch.compile does not work on this kind of device, in one line; empty if it works."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # raised by torch itself
            torch.compile(torch.sin, fullgraph=True)(torch.zeros(64, device=device_type))
    except Exception as error:  # the kind of error depends on what is missing
        lines = [line for line in str(error).splitlines() if line and not line.endswith("raised:")]
        return lines[0] if lines else type(error).__name__
    return ""


class CompiledFunction:
    """A function of (x, label) that is compiled at its first call, for the shapes of that call.

    The operations are recorded before they are compiled, so the function may contain any Python code. Compiling takes
    about 30 s on a few cores, once per machine, because PyTorch caches the result. If compiling fails, for example
    because there is no C++ compiler, one warning is issued and the function runs uncompiled.

    Args:
        function: The function. The weights that it uses must not change.
        freeze: Lay out the weights for the convolutions, once. Supported on a CPU, not in float64.
    """

    def __init__(self, function: Function, *, freeze: bool):
        self.function = function
        self.freeze = freeze
        self.ready: Function | None = None

    def __call__(self, x: Tensor, label: Tensor) -> Tensor:
        if self.ready is not None:
            return self.ready(x, label)
        try:
            from torch._inductor import config as inductor  # takes a second to import
            from torch.fx.experimental.proxy_tensor import make_fx

            with torch.no_grad():
                recorded = make_fx(lambda x, label: self.function(x, label))(x, label)  # make_fx rejects bound methods
                with inductor.patch(freezing=self.freeze):
                    self.ready = torch.compile(recorded, fullgraph=True, dynamic=False)
                    return self.ready(x, label)
        except Exception as error:
            reason = " ".join((str(error).strip() or type(error).__name__).splitlines()[:2])
            warnings.warn(f"scoring goes on without compiling, more slowly ({reason})", RuntimeWarning, stacklevel=2)
            self.ready = self.function
            return self.function(x, label)


def compile_sampling_steps(steps: Sequence[Callable[[], None]]) -> list[Callable[[], None]]:
    """Compiles functions without arguments that work on buffers which never move; runs each once."""
    options: dict[str, Any] = {"allow_buffer_reuse": False}
    if hasattr(torch.compiler, "skip_all_guards_unsafe"):
        options["guard_filter_fn"] = torch.compiler.skip_all_guards_unsafe
    compiled = [torch.compile(_with_own_code(step), fullgraph=True, dynamic=False, options=options) for step in steps]
    for step in compiled:
        step()
    return compiled


def _with_own_code(work: Callable[[], None]) -> Callable[[], None]:
    """Wraps a function in a code object of its own.

    torch.compile caches by code object and tells functions apart by guards, which are removed here.
    """

    def run() -> None:
        work()

    return FunctionType(run.__code__.replace(), run.__globals__, closure=run.__closure__)
