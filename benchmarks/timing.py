"""Times several functions in turn, so that other load on the machine affects all of them alike."""

import statistics
import time
from collections.abc import Callable

import torch


def interleaved(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median time of each function, in seconds, after a first round that is not counted.

    Args:
        works: The functions, by name; each returns when its result is in memory.
        repeats: Number of rounds; each round calls every function once.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}


def peak_flops(device: torch.device, dtype: torch.dtype, size: int = 2048) -> float:
    """Floating point operations per second of a large matrix product, an upper bound for everything else."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / interleaved({"product": lambda: a @ b}, 5)["product"]
