"""Devices, processes and memory."""

import ctypes
import os
import sys

import torch

from pixelbayes.utils.errors import InputError

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # parameters of mallopt, from glibc's malloc.h


def pick_device(name: str = "auto", precision: str = "float32") -> torch.device:
    """The device of a name.

    Args:
        name: "auto" for the first available of cuda, mps and cpu; or one of these.
        precision: The precision to compute in, as in `OptimizationConfig`.

    Raises:
        InputError: If there is no such device, or it does not support the precision (Apple's mps).
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, is_available in available.items() if is_available)
    if name not in available:
        raise InputError(f"device is {name!r}, expected auto, {', '.join(available)}")
    if not available[name]:
        raise InputError(f"device {name} is not available here; choose another or install a PyTorch built for it")
    if name == "mps" and precision not in ("auto", "float32"):
        raise InputError(
            f"precision {precision} is not supported by Apple's mps device; use precision float32 or device cpu"
        )
    return torch.device(name)


def is_first_process() -> bool:
    """Whether this process writes the files of a run: the first of those started by `torchrun`, or a single one."""
    return os.environ.get("RANK", "0") == "0"


def keep_freed_memory() -> None:
    """Tells glibc to reuse freed memory instead of returning it to the system, which costs a tenth of each step.

    It has no effect except on Linux with glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has no mallopt
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
        mallopt(MMAP_MAX, 0)
