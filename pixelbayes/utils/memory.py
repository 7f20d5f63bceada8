"""How much memory there is, and the refusal of what it cannot hold."""

import os
from pathlib import Path

import torch

from pixelbayes.utils.errors import InputError

GIB = 2**30

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files that hold the limit of a container, of cgroups version 2 and 1"""


def memory_size(device: torch.device | str = "cpu") -> float:
    """Bytes of memory of a device; infinite if they are not known. A container may have less than its machine."""
    device = torch.device(device)
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    try:
        physical = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return float("inf")
    limits = [path.read_text().strip() for path in LIMITS if path.is_file()]
    return min([physical, *(float(limit) for limit in limits if limit.isdecimal())])


def check_memory(needed: float, what: str, remedy: str, device: torch.device | str = "cpu") -> None:
    """Checks that a device can hold what is needed, before it is allocated.

    Args:
        needed: Bytes, at least.
        what: What needs them, in the plural, at the beginning of the message.
        remedy: What to do if they are too many.
        device: The device.

    Raises:
        InputError: If it has less memory.
    """
    available = memory_size(device)
    if needed > available:
        name = "this machine" if torch.device(device).type != "cuda" else "the device cuda"
        sizes = f"take at least {needed / GIB:,.1f} GiB of memory, but {name} has {available / GIB:,.1f} GiB"
        raise InputError(f"{what} {sizes}; {remedy}")
