"""Samples of each class, by seed and index."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from pixelbayes.inference.cached import CachedSampler
from pixelbayes.inference.cached.stepping import STEPS_WORTH_COMPILING
from pixelbayes.inference.prefix import Prefix
from pixelbayes.inference.sampler import DEFAULT_SAMPLING, SamplingConfig, sample_reference, sampling_noise
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.utils.progress import Tracker, no_progress


def sample_images(
    network: PixelCNN,
    label: Tensor,
    index: Tensor,
    config: SamplingConfig = DEFAULT_SAMPLING,
    *,
    step: int = 0,
    prefix: Prefix | None = None,
    track: Tracker = no_progress,
) -> Tensor:
    """Draws given samples: the image of a class with a given index and seed is always the same.

    Args:
        network: The network.
        label: int64 (N,), 0 .. Y-1 or NO_LABEL.
        index: int64 (N,), index of each image among the samples of its class; below 2^32.
        config: How to draw them; its `count` is not used.
        step: As in `sampling_noise`.
        prefix: Known pixels of one image, the same for all samples.
        track: Wraps the loop over the rows of all batches, to show progress.

    Returns:
        uint8 levels, (N, C, H, W), on the CPU.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not len(label) == len(index) > 0:
        raise ValueError(f"{len(label)} labels for {len(index)} images, expected one or more of each, as many of both")
    device = next(network.parameters()).device
    label = label.to(device)
    stream = index.to(device) + (label << 32)  # classes never share noise
    batches = -(-len(label) // config.batch_size)
    size = -(-len(label) // batches)  # all batches have this size; the last one is filled up with its last image
    filled = torch.arange(batches * size, device=device).clamp(max=len(label) - 1)
    height, width = network.config.image_shape.size
    compiled = batches * height * width >= STEPS_WORTH_COMPILING if config.compile is None else config.compile
    draw: Callable[..., Tensor]
    if config.reference:
        draw = partial(sample_reference, network, config=config)
    else:
        draw = CachedSampler(network, size, replace(config, compile=compiled))
    rows = iter(track(range(batches * height)))
    parts = []
    for some in torch.split(filled, size):
        noise = sampling_noise(network, config.seed, stream[some], step)
        parts.append(draw(label[some], noise, prefix=prefix, track=_counted_by(rows)))
    next(rows, None)  # ends the progress bar
    return torch.cat(parts)[: len(label)].cpu()


def sample_classes(
    network: PixelCNN,
    labels: Sequence[int],
    config: SamplingConfig = DEFAULT_SAMPLING,
    *,
    prefix: Prefix | None = None,
    track: Tracker = no_progress,
) -> Tensor:
    """Draws the first `config.count` samples of each class.

    Args:
        network: The network.
        labels: 0 .. Y-1, or NO_LABEL; one or more.
        config: How to draw them.
        prefix: As in `sample_images`.
        track: As in `sample_images`.

    Returns:
        uint8 levels, (len(labels), count, C, H, W), on the CPU.

    Raises:
        ValueError: If there is no class.
    """
    label = torch.tensor(labels, dtype=torch.long).repeat_interleave(config.count)
    index = torch.arange(config.count).repeat(len(labels))
    samples = sample_images(network, label, index, config, prefix=prefix, track=track)
    return torch.unflatten(samples, 0, (len(labels), config.count))


def sample_class(
    network: PixelCNN,
    label: int,
    config: SamplingConfig = DEFAULT_SAMPLING,
    *,
    prefix: Prefix | None = None,
    track: Tracker = no_progress,
) -> Tensor:
    """Draws the first `config.count` samples of one class, uint8 (count, C, H, W); else as `sample_classes`."""
    return sample_classes(network, [label], config, prefix=prefix, track=track)[0]


def _counted_by(ticks: Iterator[int]) -> Tracker:
    """A tracker that advances a longer loop by one at each of its steps."""
    return lambda items: (item for item, _ in zip(items, ticks, strict=False))
