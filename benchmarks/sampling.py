"""Plain against cached sampling: how cost grows with the batch and with the image."""

import resource
from typing import Any

import torch

from benchmarks.networks import forward_flops, network
from benchmarks.timing import interleaved, peak_flops
from pixelbayes.inference import CachedSampler, sampling_noise

PLAIN_PIXELS = 6  # the plain sampler runs the whole network for each pixel, all alike: a few tell the time of all


def sampling(batch: int, size: int, device: str, repeats: int) -> dict[str, Any]:
    """One row: seconds to draw a batch, plainly, cached, cached and compiled, beside one forward pass."""
    where = torch.device(device)
    net = network(size, where)
    label = torch.arange(batch, device=where) % 4
    noise = sampling_noise(net, 0, torch.arange(batch))
    x = 2 * noise - 1
    cached, compiled = CachedSampler(net, batch), CachedSampler(net, batch, compiled=True)

    def plain_pixels() -> None:
        for _ in range(PLAIN_PIXELS):
            net.likelihood(net(x, label)[:, :, :1, :1]).sample(noise[:, :, :1, :1])

    with torch.no_grad():
        took = interleaved(
            {
                "forward": lambda: net(x, label),
                "plain": plain_pixels,
                "cached": lambda: cached(label, noise),
                "compiled": lambda: compiled(label, noise),
            },
            repeats,
        )
    plain = took["plain"] / PLAIN_PIXELS * size * size
    floor = batch * forward_flops(net) / peak_flops(where, torch.float32)
    return {
        "work": "sampling",
        "device": device,
        "batch": batch,
        "size": size,
        "forward_seconds": took["forward"],
        "plain_seconds": plain,  # from a few pixels
        "cached_seconds": took["cached"],
        "compiled_seconds": took["compiled"],
        "speedup": plain / took["compiled"],
        "forward_passes": took["compiled"] / took["forward"],
        "images_per_second": batch / took["compiled"],
        "share_of_floor": floor / took["compiled"],
        "peak_memory_mib": peak_memory(where),
    }


def peak_memory(device: torch.device) -> float:
    """MiB, of the device if it has its own, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
