"""Endless series of images of each class: what people mean by sampling."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pixelbayes.inference.cached import CachedSampler
from pixelbayes.inference.cached.stepping import STEPS_WORTH_COMPILING
from pixelbayes.inference.prefix import Given
from pixelbayes.inference.sampler import sample, sampling_noise
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.utils.progress import Tracker, no_progress


def sample_images(
    network: PixelCNN,
    label: Tensor,
    index: Tensor,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    guidance: float = 0.0,
    given: Given | None = None,
    batch_size: int = 256,
    plain: bool = False,
    compiled: bool | None = None,
    track: Tracker = no_progress,
) -> Tensor:
    """Images of the endless series of each class that the seed stands for.

    Args:
        label: int64 (N,), 0 .. Y-1 or NO_LABEL.
        index: int64 (N,), which image of its class's series each is; below 2^32.
        temperature, guidance: As in `sample`.
        given: Pixels that are known and kept, of one image, the same for all.
        batch_size: Images drawn at a time, at most; no image depends on it but for rounding.
        plain: Draw by `sample`, the oracle, rather than by `CachedSampler`.
        compiled: Whether the cached sampler compiles its step; by default where there is so much to draw that it pays.
        track: Wraps the loop over the rows of all batches, to show progress.

    Returns:
        uint8 levels, (N, C, H, W), on the CPU.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not len(label) == len(index) > 0:
        raise ValueError(f"{len(label)} labels for {len(index)} images, expected one for each of one or more")
    device = next(network.parameters()).device
    label = label.to(device)
    stream = index.to(device) + (label << 32)  # classes never share noise
    batches = -(-len(label) // batch_size)
    size = -(-len(label) // batches)  # all batches alike, the last one filled up with its last image
    filled = torch.arange(batches * size, device=device).clamp(max=len(label) - 1)
    height, width = network.config.image_size
    if compiled is None:
        compiled = batches * height * width >= STEPS_WORTH_COMPILING
    how: dict[str, Any] = {"temperature": temperature, "guidance": guidance}
    draw: Callable[..., Tensor] = (
        partial(sample, network, **how) if plain else CachedSampler(network, size, **how, compiled=compiled)
    )
    rows = iter(track(range(batches * height)))
    parts = [
        draw(label[some], sampling_noise(network, seed, stream[some]), given=given, track=_counted_by(rows))
        for some in filled.split(size)
    ]
    next(rows, None)  # ends the bar
    return torch.cat(parts)[: len(label)].cpu()


def sample_classes(network: PixelCNN, labels: Sequence[int], count: int, **how: Any) -> Tensor:
    """The first `count` images of each class, of the endless series that the seed stands for.

    Args:
        labels: 0 .. Y-1, or NO_LABEL.
        how: Seed, temperature and the rest, as in `sample_images`.

    Returns:
        uint8 levels, (len(labels), count, C, H, W), on the CPU.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not labels or count < 1:
        raise ValueError(f"{count} images of {len(labels)} classes, expected at least one of each")
    label = torch.tensor(labels).repeat_interleave(count)
    index = torch.arange(count).repeat(len(labels))
    return sample_images(network, label, index, **how).unflatten(0, (len(labels), count))


def _counted_by(ticks: Iterator[int]) -> Tracker:
    """A tracker each of whose steps is one of those of a longer loop."""
    return lambda items: (item for item, _ in zip(items, ticks, strict=False))


def sample_class(network: PixelCNN, label: int, count: int, **how: Any) -> Tensor:
    """The first `count` images of one class, uint8 (count, C, H, W); arguments as in `sample_classes`."""
    return sample_classes(network, [label], count, **how)[0]
