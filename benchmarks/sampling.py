"""The reference sampler against the cached sampler, by batch size and image size."""

import resource
from typing import Any

import torch

from benchmarks.networks import forward_flops, network
from benchmarks.timing import interleaved, peak_flops
from pixelbayes.inference import CachedSampler, SamplingConfig, sampling_noise

REFERENCE_PIXELS = 6  # the reference sampler runs the whole network for each pixel, so a few pixels are enough


def sampling(batch: int, size: int, device: str, repeats: int) -> dict[str, Any]:
    """One row: seconds to draw a batch with each sampler, and of one forward pass."""
    where = torch.device(device)
    net = network(size, where)
    label = torch.arange(batch, device=where) % 4
    noise = sampling_noise(net, 0, torch.arange(batch))
    x = 2 * noise - 1
    cached, compiled = CachedSampler(net, batch), CachedSampler(net, batch, SamplingConfig(compile=True))

    def reference_pixels() -> None:
        for _ in range(REFERENCE_PIXELS):
            net.likelihood(net(x, label)[:, :, :1, :1]).sample(noise[:, :, :1, :1])

    with torch.no_grad():
        took = interleaved(
            {
                "forward": lambda: net(x, label),
                "reference": reference_pixels,
                "cached": lambda: cached(label, noise),
                "compiled": lambda: compiled(label, noise),
            },
            repeats,
        )
    reference = took["reference"] / REFERENCE_PIXELS * size * size
    floor = batch * forward_flops(net) / peak_flops(where, torch.float32)
    return {
        "work": "sampling",
        "device": device,
        "batch": batch,
        "size": size,
        "forward_seconds": took["forward"],
        "reference_seconds": reference,  # extrapolated from a few pixels
        "cached_seconds": took["cached"],
        "compiled_seconds": took["compiled"],
        "speedup": reference / took["compiled"],
        "forward_passes": took["compiled"] / took["forward"],
        "images_per_second": batch / took["compiled"],
        "share_of_floor": floor / took["compiled"],
        "peak_memory_mib": peak_memory(where),
    }


def peak_memory(device: torch.device) -> float:
    """Peak memory in MiB, of a GPU or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
