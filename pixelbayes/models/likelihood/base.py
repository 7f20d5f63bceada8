"""What every likelihood offers: the log-probability of pixels, and a draw from each colour in turn."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_x


def bits_per_dim(nll: Tensor, dims: int) -> Tensor:
    """Bits per dimension, nll / (dims ln 2), from nats per image; any shape.

    Args:
        nll: Negative log-likelihood of images on their own levels, in nats.
        dims: Numbers in an image, C H W.
    """
    return nll / (dims * math.log(2))


def draw(log_prob: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
    """Inverts the discrete CDF of p^(1/T): the lowest level whose cumulative probability exceeds the noise.

    Args:
        log_prob: Log-probabilities of the levels, shape (..., L), in nats; need not be normalised.
        noise: Uniform numbers in [0, 1), shape (...).
        temperature: T; 1 samples the distribution as it is, towards 0 its mode.

    Returns:
        Levels, int64 (...), in 0 .. L-1.
    """
    cdf = torch.softmax(log_prob / temperature, dim=-1).cumsum(dim=-1)
    noise = noise.to(cdf.dtype)[..., None] * cdf[..., -1:]  # the last sum is 1 but for rounding
    return (cdf <= noise).sum(dim=-1).clamp(max=log_prob.shape[-1] - 1)


def at_least_float32(params: Tensor) -> Tensor:
    """Half precision raised to float32: a log-probability needs more digits than a network."""
    return params.float() if params.dtype in (torch.float16, torch.bfloat16) else params


class Likelihood(ABC):
    """A distribution over one C-channel pixel at each position, made from the network's output.

    A likelihood's constructor takes `params` (B, num_params, H, W), `channels` C and `levels` L.
    """

    def __init__(self, channels: int, levels: int, dtype: torch.dtype):
        self.channels = channels
        self.levels = levels
        self.dtype = dtype

    @classmethod
    @abstractmethod
    def num_params(cls, channels: int, levels: int, num_mixtures: int) -> int:
        """Numbers that describe one pixel's distribution."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log-probability of each pixel, its channels taken together.

        Args:
            x: Images, shape (B, C, H, W), on the L levels in [-1, 1].

        Returns:
            Shape (B, H, W), in nats; `-log_prob(x).sum((1, 2))` is the nll of each image.
        """

    @abstractmethod
    def colour_log_prob(self, colour: int, x: Tensor) -> Tensor:
        """Log-probability of every level of a colour, given the colours before it in `x`.

        Args:
            x: (B, C, H, W); what stands at this and later colours is not read.

        Returns:
            Shape (B, H, W, L), in nats; over L the probabilities sum to one.
        """

    def sample(
        self, noise: Tensor, temperature: float = 1.0, *, guide: "Likelihood | None" = None, guidance: float = 0.0
    ) -> Tensor:
        """Draws each pixel, colour by colour, by inverting the discrete CDF with one uniform number a colour.

        With a guide, the unconditional distribution l_null beside this conditional l_c, each colour is drawn from
        (1 + w) l_c - w l_null over its levels, renormalised: classifier-free guidance (Ho and Salimans, 2022,
        https://arxiv.org/abs/2207.12598, Eq. 6) of each conditional. Both follow the colours already drawn, each by its
        own mixture's responsibilities. What is sampled is a chain of renormalised conditionals, not the joint's power.

        Args:
            noise: Uniform numbers in [0, 1), shape (B, C, H, W).
            temperature: T of p^(1/T) over the levels of each colour, renormalised.
            guide: The distribution without the label.
            guidance: w; 0 is no guidance.

        Returns:
            x in [-1, 1], shape (B, C, H, W); every value lies on the grid as it is drawn.
        """
        x = torch.zeros_like(noise, dtype=self.dtype)
        for colour in range(self.channels):
            log_prob = self.colour_log_prob(colour, x)
            if guide is not None and guidance:
                log_prob = (1 + guidance) * log_prob - guidance * guide.colour_log_prob(colour, x)
            level = draw(log_prob, noise[:, colour], temperature)  # (B, H, W)
            x[:, colour] = to_x(level, self.levels, self.dtype)
        return x

    def invert(self, noise: Tensor) -> Tensor:
        """What `sample` draws at temperature 1 without guidance, by the shortest way the distribution allows."""
        return self.sample(noise)
