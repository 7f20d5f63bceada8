"""Ancestral sampling, pixel by pixel: the plain path, and the oracle of every faster one."""

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_pixels
from pixelbayes.inference.prefix import Given, canvas
from pixelbayes.models.fusion import Condition
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.utils.progress import Tracker, no_progress
from pixelbayes.utils.randomness import Key


def sampling_noise(network: PixelCNN, seed: int, index: Tensor, step: int = 0) -> Tensor:
    """One uniform number in [0, 1) for each colour value of each image, (B, C, H, W), in the network's precision.

    Args:
        index: int64 (B,), which images of the endless series that (seed, step) stands for.
    """
    weight = next(network.parameters())
    key = Key.of(seed, "sampling", step, index.to(weight.device))
    return key.uniform(network.config.channels, *network.config.image_size, dtype=weight.dtype)


@torch.no_grad()
def sample(
    network: PixelCNN,
    condition: Condition | Tensor | None,
    noise: Tensor,
    *,
    temperature: float = 1.0,
    guidance: float = 0.0,
    given: Given | None = None,
    track: Tracker = no_progress,
) -> Tensor:
    """Images drawn from p(x | condition), each pixel from its distribution given the pixels before it.

    Runs the whole network once for each pixel. The image is a function of the noise and the condition alone, so it does
    not depend on the batch it is drawn in.

    Args:
        network: The network.
        condition: Labels, int64 (B,); or a Condition; None for no label.
        noise: Uniform numbers in [0, 1), (B, C, H, W), as from `sampling_noise`.
        temperature: T of p^(1/T) over the levels of each colour; 1 samples the model as it is.
        guidance: w of classifier-free guidance, `Likelihood.sample`; asks for a network trained with label dropout.
        given: Pixels that are known, and kept.
        track: Wraps the loop over rows, to show progress.

    Returns:
        uint8 levels, (B, C, H, W).

    Raises:
        ValueError: If the temperature is not above 0.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}, expected a number above 0")
    height, width = noise.shape[-2:]
    x, known = canvas(given, noise, network.config.levels)
    for row in track(range(height)):
        for column in range(width):
            if row * width + column < known:
                continue
            here = (..., slice(row, row + 1), slice(column, column + 1))
            told = network.likelihood(network(x, condition)[here])  # of params (B, P, 1, 1)
            untold = network.likelihood(network(x, None)[here]) if guidance else None
            drawn = told.sample(noise[here], temperature, guide=untold, guidance=guidance)
            x[here] = drawn.to(x.dtype)
    return to_pixels(x, network.config.levels)
