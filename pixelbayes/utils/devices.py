"""Which device to compute on."""

import ctypes
import os
import sys

import torch

from pixelbayes.utils.errors import InputError


def pick_device(name: str = "auto", precision: str = "float32") -> torch.device:
    """The device a name means; auto is the first of cuda, mps, cpu that is there.

    Raises:
        InputError: If the device is not there, or (Apple's mps) not able to compute in that precision.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, is_there in there.items() if is_there)
    if name not in there:
        raise InputError(f"device is {name!r}, expected auto, {', '.join(there)}")
    if not there[name]:
        raise InputError(f"device {name} is not available here; name another, or install a PyTorch built for it")
    if name == "mps" and precision != "float32":
        raise InputError(
            f"precision {precision} is not for Apple's mps device, which computes in float32; or use device cpu"
        )
    return torch.device(name)


def is_first_process() -> bool:
    """Of the processes of a run that `torchrun` has begun, one writes the files; a process alone is the first."""
    return os.environ.get("RANK", "0") == "0"


TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of glibc's mallopt


def keep_freed_memory() -> None:
    """Lets glibc reuse what it frees: to hand activations back and fetch them anew takes a tenth of each step.

    Elsewhere than on Linux with glibc it does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
        mallopt(MMAP_MAX, 0)
