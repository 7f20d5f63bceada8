"""Ancestral sampling at the cost of one pass: what `inference.sampler.sample` draws, each position computed once."""

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_pixels
from pixelbayes.inference.cached.network import CachedNetwork
from pixelbayes.inference.cached.stepping import IMAGES_WORTH_SHARING, Step, prepared, threads
from pixelbayes.inference.prefix import Given, canvas
from pixelbayes.models.fusion import Condition
from pixelbayes.models.pixelcnn import RESOLUTIONS, PixelCNN
from pixelbayes.utils.progress import Tracker, no_progress


class PixelStep:
    """Draws one pixel of every image and feeds it back.

    Args:
        network: The network.
        batch: B.
        temperature, guidance: As in `sample`.
    """

    def __init__(self, network: PixelCNN, batch: int, temperature: float, guidance: float):
        self.copies = 2 if guidance else 1  # of each image: told its label, and not
        self.cached = CachedNetwork(network, self.copies * batch)
        self.likelihood = network.likelihood
        self.temperature, self.guidance = temperature, guidance
        weight = next(network.parameters())
        config = network.config
        self.noise = weight.new_zeros(batch, config.channels, 1, config.image_size[1])  # of the row
        self.x = torch.zeros_like(self.noise)  # the row so far
        self.column = self.cached.columns[0]

    def begin_row(self, row: int, noise: Tensor) -> None:
        self.cached.begin_row(row, self.x.repeat(self.copies, 1, 1, 1))
        self.noise.copy_(noise)

    def draw(self, depth: int) -> None:
        """Draws the pixel at hand."""
        params = self.cached.params(depth)
        noise = self.noise.index_select(3, self.column)  # (B, C, 1, 1)
        told, *untold = (self.likelihood(part) for part in params.chunk(self.copies))
        if self.guidance or self.temperature != 1:
            x = told.sample(noise, self.temperature, guide=untold[0] if untold else None, guidance=self.guidance)
        else:
            x = told.invert(noise)
        self.feed(x.to(noise.dtype))

    def keep(self, depth: int, x: Tensor) -> None:
        """Takes a value, (B, C, 1, 1), for the pixel at hand instead of drawing it."""
        self.cached.params(depth)
        self.feed(x)

    def feed(self, x: Tensor) -> None:
        self.x.index_copy_(3, self.column, x)
        self.cached.push(x.repeat(self.copies, 1, 1, 1))


class CachedSampler:
    """Draws images batch after batch, over buffers that are made once; what it draws is what `sample` would.

    In float64 the images are the same. In float32 sums are rounded in another order, so the first draw that lies within
    rounding of a step of its CDF may fall on the other side, and what follows with it.

    Args:
        network: The network.
        batch: B, images in each call.
        temperature, guidance: As in `sample`.
        compiled: Whether to compile the step, which takes half a minute; on CUDA it is captured as a graph.

    Raises:
        ValueError: If the temperature is not above 0.
    """

    def __init__(
        self,
        network: PixelCNN,
        batch: int,
        *,
        temperature: float = 1.0,
        guidance: float = 0.0,
        compiled: bool = False,
    ):
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}, expected a number above 0")
        self.network = network
        self.guidance = guidance
        self.compiled = compiled
        self.step = PixelStep(network, batch, temperature, guidance)
        self.fast_step: Step | None = None

    @torch.no_grad()
    def __call__(
        self,
        condition: Condition | Tensor | None,
        noise: Tensor,
        *,
        given: Given | None = None,
        track: Tracker = no_progress,
    ) -> Tensor:
        """Images of the condition, uint8 levels (B, C, H, W); arguments as in `sample`."""
        height, width = noise.shape[2:]
        levels = self.network.config.levels
        x, known = canvas(given, noise, levels)
        draw = self._begin(condition, noise)
        sharing = torch.get_num_threads() if len(noise) >= IMAGES_WORTH_SHARING else 1
        for row in track(range(height)):
            with threads(sharing):
                self.step.begin_row(row, noise[:, :, row, None])
            with threads(1):
                for column in range(width):
                    self.step.cached.move(column)
                    depth = standing(row, column)
                    if row * width + column < known:
                        self.step.keep(depth, x[:, :, row, None, column, None])
                    else:
                        draw(depth)
            x[:, :, row, None] = self.step.x
        return to_pixels(x, levels)

    def _begin(self, condition: Condition | Tensor | None, noise: Tensor) -> Step:
        """Begins new images; returns what draws their pixels."""
        prepare, cached = self.network.fusion.prepare, self.step.cached
        features = prepare(Condition.of(condition, len(noise), noise.device))
        if self.guidance:
            untold = prepare(Condition.of(None, len(noise), noise.device))
            features = {site: torch.cat((feature, untold[site])) for site, feature in features.items()}
        cached.begin(features)
        if self.fast_step is None:
            self.fast_step = prepared(self.step.draw, noise.device, self.compiled)
            cached.begin(features)
        return self.fast_step


def standing(row: int, column: int) -> int:
    """How many of the lower resolutions stand at a pixel: those whose scale divides both row and column."""
    return sum(row % scale == column % scale == 0 for scale in (2**r for r in range(1, RESOLUTIONS)))


def sample_cached(
    network: PixelCNN,
    condition: Condition | Tensor | None,
    noise: Tensor,
    *,
    temperature: float = 1.0,
    guidance: float = 0.0,
    given: Given | None = None,
    track: Tracker = no_progress,
) -> Tensor:
    """What `sample` draws, each position computed once; arguments as there."""
    sampler = CachedSampler(network, len(noise), temperature=temperature, guidance=guidance)
    return sampler(condition, noise, given=given, track=track)
