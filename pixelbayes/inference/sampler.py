"""Ancestral sampling, pixel by pixel: the reference implementation that every faster sampler must agree with."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_pixels
from pixelbayes.inference.prefix import Prefix, canvas
from pixelbayes.models.fusion import Condition
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import check_fields
from pixelbayes.utils.progress import Tracker, no_progress
from pixelbayes.utils.randomness import Key, check_seed


@documented
@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How samples are drawn.

    Raises:
        InputError: If a value is out of its range.
    """

    count: int = 25
    """samples per class"""
    seed: int = 0
    """random seed, a whole number within 64 bits"""
    temperature: float = 1.0
    """T of p^(1/T) over the levels of each colour; 1 samples the model itself"""
    guidance: float = 0.0
    """w of classifier-free guidance, see `Likelihood.sample`; requires a network trained with label dropout"""
    batch_size: int = 256
    """images drawn at a time, at most; the images do not depend on it, except for rounding"""
    reference: bool = False
    """use the reference sampler, which runs the whole network for every pixel"""
    compile: bool | None = None
    """compile the step of the cached sampler; None compiles it if there are enough samples to draw"""

    def __post_init__(self) -> None:
        check_fields(self, ("count", "batch_size"), lambda n: n >= 1, "at least 1")
        check_fields(self, ("temperature",), lambda t: t > 0, "a number above 0")
        check_seed(self.seed)


DEFAULT_SAMPLING = SamplingConfig()


def sampling_noise(network: PixelCNN, seed: int, index: Tensor, step: int = 0) -> Tensor:
    """One uniform number in [0, 1) per colour value of each image, (B, C, H, W), in the network's precision.

    Args:
        network: The network that will draw the images.
        seed: Random seed.
        index: int64 (B,), index of each image among those of the same seed and step.
        step: Separates independent sets of images with the same seed.
    """
    weight = next(network.parameters())
    key = Key.of(seed, "sampling", step, index.to(weight.device))
    return key.uniform(*network.config.image_shape.chw, dtype=weight.dtype)


@torch.no_grad()
def sample_reference(
    network: PixelCNN,
    condition: Condition | Tensor | None,
    noise: Tensor,
    config: SamplingConfig = DEFAULT_SAMPLING,
    *,
    prefix: Prefix | None = None,
    track: Tracker = no_progress,
) -> Tensor:
    """Draws images from p(x | condition), each pixel from its distribution given the pixels before it.

    The whole network runs once per pixel. An image is a function of its noise and its condition only, so it does not
    depend on the other images of the batch.

    Args:
        network: The network.
        condition: Labels, int64 (B,); or a Condition; None for no label.
        noise: Uniform numbers in [0, 1), (B, C, H, W), as from `sampling_noise`.
        config: Its temperature and guidance are used.
        prefix: Known pixels, which are not drawn.
        track: Wraps the loop over rows, to show progress.

    Returns:
        uint8 levels, (B, C, H, W).
    """
    height, width = noise.shape[-2:]
    levels = network.config.image_shape.levels
    x, num_known = canvas(prefix, noise, levels)
    for row in track(range(height)):
        for column in range(width):
            if row * width + column < num_known:
                continue
            here = (..., slice(row, row + 1), slice(column, column + 1))
            conditional = network.likelihood(network(x, condition)[here])  # of params (B, P, 1, 1)
            unconditional = network.likelihood(network(x, None)[here]) if config.guidance else None
            drawn = conditional.sample(noise[here], config.temperature, guide=unconditional, guidance=config.guidance)
            x[here] = drawn.to(x.dtype)
    return to_pixels(x, levels)
