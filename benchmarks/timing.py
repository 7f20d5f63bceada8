"""Times of several ways to do the same work, taken in turn, so that a noisy neighbour meets them all alike."""

import statistics
import time
from collections.abc import Callable

import torch


def interleaved(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median time of each work, in seconds, after a first round that does not count.

    Args:
        works: What to time, by name; each ends with its result in memory.
        repeats: Rounds; in each every work is done once.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}


def peak_flops(device: torch.device, dtype: torch.dtype, size: int = 2048) -> float:
    """Floating point operations a second that a large matrix product reaches: the floor of all other times."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / interleaved({"product": lambda: a @ b}, 5)["product"]
