"""Ancestral sampling at the cost of one pass: the samples of `sample_reference`, each position computed once."""

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_pixels
from pixelbayes.inference.cached.network import CachedNetwork
from pixelbayes.inference.cached.stepping import IMAGES_WORTH_SHARING, Step, prepare_step, threads
from pixelbayes.inference.prefix import Prefix, canvas
from pixelbayes.inference.sampler import DEFAULT_SAMPLING, SamplingConfig
from pixelbayes.models.fusion import Condition
from pixelbayes.models.pixelcnn import RESOLUTIONS, PixelCNN
from pixelbayes.utils.progress import Tracker, no_progress


class PixelStep:
    """Draws one pixel of every image and feeds it back into the cached network.

    Args:
        network: The network.
        batch: B.
        temperature, guidance: As in `SamplingConfig`.
    """

    def __init__(self, network: PixelCNN, batch: int, temperature: float, guidance: float):
        self.copies = 2 if guidance else 1  # guidance runs each image with and without its label
        self.cached = CachedNetwork(network, self.copies * batch)
        self.likelihood = network.likelihood
        self.temperature, self.guidance = temperature, guidance
        weight = next(network.parameters())
        shape = network.config.image_shape
        self.noise = weight.new_zeros(batch, shape.channels, 1, shape.width)  # of the current row
        self.x = torch.zeros_like(self.noise)  # the current row
        self.column = self.cached.columns[0]

    def begin_row(self, row: int, noise: Tensor) -> None:
        self.cached.begin_row(row, self.x.repeat(self.copies, 1, 1, 1))
        self.noise.copy_(noise)

    def draw(self, depth: int) -> None:
        """Draws the current pixel."""
        params = self.cached.params(depth)
        noise = self.noise.index_select(3, self.column)  # (B, C, 1, 1)
        conditional, *unconditional = (self.likelihood(part) for part in params.chunk(self.copies))
        if self.guidance or self.temperature != 1:
            guide = unconditional[0] if unconditional else None
            x = conditional.sample(noise, self.temperature, guide=guide, guidance=self.guidance)
        else:
            x = conditional.invert(noise)
        self.feed(x.to(noise.dtype))

    def take(self, depth: int, x: Tensor) -> None:
        """Takes the value of a known pixel, (B, C, 1, 1), instead of drawing it."""
        self.cached.params(depth)
        self.feed(x)

    def feed(self, x: Tensor) -> None:
        self.x.index_copy_(3, self.column, x)
        self.cached.push(x.repeat(self.copies, 1, 1, 1))


class CachedSampler:
    """Draws one batch of images after another, with buffers that are allocated once.

    In float64 the samples equal those of `sample_reference`. In float32 sums are rounded in another order. If a random
    number lies within rounding error of a step of the cumulative distribution, its pixel and all later ones may differ.

    Args:
        network: The network.
        batch: B, images per call.
        config: Its temperature, guidance and compile are used. Compiling takes half a minute; None does not compile. On
            CUDA the step is captured as a graph instead.
    """

    def __init__(self, network: PixelCNN, batch: int, config: SamplingConfig = DEFAULT_SAMPLING):
        self.network = network
        self.guidance = config.guidance
        self.compiled = bool(config.compile)
        self.step = PixelStep(network, batch, config.temperature, config.guidance)
        self.fast_step: Step | None = None

    @torch.no_grad()
    def __call__(
        self,
        condition: Condition | Tensor | None,
        noise: Tensor,
        *,
        prefix: Prefix | None = None,
        track: Tracker = no_progress,
    ) -> Tensor:
        """Draws images of the condition, uint8 levels (B, C, H, W); arguments as in `sample_reference`."""
        height, width = noise.shape[2:]
        levels = self.network.config.image_shape.levels
        x, num_known = canvas(prefix, noise, levels)
        draw = self._begin(condition, noise)
        row_threads = torch.get_num_threads() if len(noise) >= IMAGES_WORTH_SHARING else 1
        for row in track(range(height)):
            with threads(row_threads):
                self.step.begin_row(row, noise[:, :, row, None])
            with threads(1):
                for column in range(width):
                    self.step.cached.move(column)
                    depth = lower_resolutions(row, column)
                    if row * width + column < num_known:
                        self.step.take(depth, x[:, :, row, None, column, None])
                    else:
                        draw(depth)
            x[:, :, row, None] = self.step.x
        return to_pixels(x, levels)

    def _begin(self, condition: Condition | Tensor | None, noise: Tensor) -> Step:
        """Begins new images; returns the step that draws their pixels."""
        prepare, cached = self.network.fusion.prepare, self.step.cached
        features = prepare(Condition.of(condition, len(noise), noise.device))
        if self.guidance:
            unconditional = prepare(Condition.of(None, len(noise), noise.device))
            features = {site: torch.cat((feature, unconditional[site])) for site, feature in features.items()}
        cached.begin(features)
        if self.fast_step is None:
            self.fast_step = prepare_step(self.step.draw, noise.device, self.compiled)
            cached.begin(features)
        return self.fast_step


def lower_resolutions(row: int, column: int) -> int:
    """Number of lower resolutions updated at a pixel: those whose scale divides both its row and its column."""
    return sum(row % scale == column % scale == 0 for scale in (2**r for r in range(1, RESOLUTIONS)))


def sample_cached(
    network: PixelCNN,
    condition: Condition | Tensor | None,
    noise: Tensor,
    config: SamplingConfig = DEFAULT_SAMPLING,
    *,
    prefix: Prefix | None = None,
    track: Tracker = no_progress,
) -> Tensor:
    """Draws the samples of `sample_reference`, each position computed once; arguments as there."""
    return CachedSampler(network, len(noise), config)(condition, noise, prefix=prefix, track=track)
