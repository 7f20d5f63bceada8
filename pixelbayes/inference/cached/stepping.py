"""Runs the sampling step, which is called thousands of times: as it is, compiled, or as a CUDA graph."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from pixelbayes.models.pixelcnn import RESOLUTIONS
from pixelbayes.utils.compile import compile_sampling_steps

Step = Callable[[int], None]
"""Draws one pixel; the argument is the number of lower resolutions that are updated at this pixel."""

# Compiling takes half a minute and saves about 0.7 ms per step on a CPU (docs/performance.md).
STEPS_WORTH_COMPILING = 50_000

# The products of a single pixel are so small that several threads are slower than one, and up to a hundred times slower
# beside other work. The products of a row gain from several threads above this number of images.
IMAGES_WORTH_SHARING = 64


def prepare_step(step: Step, device: torch.device, compiled: bool) -> Step:
    """Returns the fastest form of a step. It runs the step a few times, so the caller must reset its state afterwards.

    Args:
        step: The step.
        device: The device it runs on.
        compiled: Compile it. On CUDA it is captured as a graph instead, which takes no time, whatever this says.

    Returns:
        The step itself, with a warning, where the other form fails, for example without a C++ compiler.
    """
    if device.type == "cuda":
        make = _captured
    elif compiled:
        make = _compiled
    else:
        return step
    try:
        return make(step)
    except Exception as error:  # the kind of error depends on the tool that fails
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(f"sampling continues without {make.__name__[1:]} steps: {reason}", stacklevel=2)
        return step


def _compiled(step: Step) -> Step:
    with threads(1):  # the number of threads is compiled into the code
        steps = compile_sampling_steps([partial(step, depth) for depth in range(RESOLUTIONS)])
    return lambda depth: steps[depth]()


def _captured(step: Step) -> Step:
    graphs = []
    for depth in range(RESOLUTIONS):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # CUDA libraries make their plans before a capture
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
    """Sets the number of threads of PyTorch for the length of a `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
