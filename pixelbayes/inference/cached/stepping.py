"""How a step that is taken thousands of times is run: as it stands, compiled, or as a CUDA graph."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType
from typing import Any

import torch

from pixelbayes.models.pixelcnn import RESOLUTIONS

Step = Callable[[int], None]  # of the number of lower resolutions that stand at the pixel

# Compiling takes half a minute, and spares some 0.7 ms a step on a CPU (docs/performance.md)
STEPS_WORTH_COMPILING = 50_000

# A pixel's products are so small that threads lose more by waiting for each other than they gain, and beside other work
# up to a hundred times as much; a row's gain from so many images on
IMAGES_WORTH_SHARING = 64

# inductor's reuse of buffers makes a product write over its own summand at batch 1 (torch 2.13)
INDUCTOR_OPTIONS = {"allow_buffer_reuse": False}


def prepared(step: Step, device: torch.device, compiled: bool) -> Step:
    """The step in its fastest form; it is run a few times, so what it has changed must be begun anew.

    Args:
        step: What is to be run.
        device: Where.
        compiled: Whether to compile it; on CUDA it is captured instead, which takes no time, whatever this says.

    Returns:
        The step itself, with a warning, where the other form fails (no C++ compiler, say).
    """
    if device.type == "cuda":
        make = _captured
    elif compiled:
        make = _compiled
    else:
        return step
    try:
        return make(step)
    except Exception as error:  # each of these tools fails in ways of its own
        reason = str(error).strip().splitlines()[0]
        warnings.warn(f"sampling goes on without {make.__name__[1:]} steps: {reason}", stacklevel=2)
        return step


def _compiled(step: Step) -> Step:
    options: dict[str, Any] = dict(INDUCTOR_OPTIONS)
    if hasattr(torch.compiler, "skip_all_guards_unsafe"):  # since torch 2.8
        # guards cost a sixth of a step, and what they guard never changes: the step works on buffers made once
        options["guard_filter_fn"] = torch.compiler.skip_all_guards_unsafe
    steps = [
        torch.compile(_apart(partial(step, depth)), fullgraph=True, dynamic=False, options=options)
        for depth in range(RESOLUTIONS)
    ]
    with threads(1):  # as many threads as there are now are built into the code
        for compiled in steps:
            compiled()
    return lambda depth: steps[depth]()


def _apart(work: Callable[[], None]) -> Callable[[], None]:
    """A function with a code object of its own: what is compiled is kept by code object, told apart by guards alone."""

    def run() -> None:
        work()

    return FunctionType(run.__code__.replace(), run.__globals__, closure=run.__closure__)


def _captured(step: Step) -> Step:
    graphs = []
    for depth in range(RESOLUTIONS):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries make their plans outside a capture
            for _ in range(3):
                step(depth)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step(depth)
        graphs.append(graph)
    return lambda depth: graphs[depth].replay()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """While it lasts, products are shared by so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
