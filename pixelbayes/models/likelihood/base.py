"""The interface of a likelihood: log-probabilities of pixels, and sampling colour by colour."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_x


def bits_per_dim(nll: Tensor, dims: int) -> Tensor:
    """Bits per dimension, nll / (dims ln 2).

    Args:
        nll: Negative log-likelihood of whole images, any shape, in nats.
        dims: Number of values in an image, C H W.
    """
    return nll / (dims * math.log(2))


def draw(log_prob: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
    """Inverts the discrete CDF of p^(1/T): returns the lowest level whose cumulative probability exceeds the noise.

    Args:
        log_prob: Log-probabilities of the levels, shape (..., L), in nats; need not be normalised.
        noise: Uniform numbers in [0, 1), shape (...).
        temperature: T, above 0; 1 samples the distribution itself, and T towards 0 its mode.

    Returns:
        Levels, int64 (...), in 0 .. L-1.
    """
    cdf = torch.softmax(log_prob / temperature, dim=-1).cumsum(dim=-1)
    noise = noise.to(cdf.dtype)[..., None] * cdf[..., -1:]  # the last sum is 1, except for rounding
    return (cdf <= noise).sum(dim=-1).clamp(max=log_prob.shape[-1] - 1)


def at_least_float32(params: Tensor) -> Tensor:
    """Converts half precision to float32, because a log-probability needs more digits than the network."""
    return params.float() if params.dtype in (torch.float16, torch.bfloat16) else params


class Likelihood(ABC):
    """A distribution over one C-channel pixel at each position, with parameters computed by the network.

    The constructor of a subclass takes `params` (B, num_params, H, W), `channels` C and `levels` L.
    """

    def __init__(self, channels: int, levels: int, dtype: torch.dtype):
        self.channels = channels
        self.levels = levels
        self.dtype = dtype

    @classmethod
    @abstractmethod
    def num_params(cls, channels: int, levels: int, num_mixtures: int) -> int:
        """Number of parameters of one pixel's distribution, which is the number of output channels of the network."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log-probability of each pixel, jointly over its channels.

        Args:
            x: Images, shape (B, C, H, W), on the L levels in [-1, 1].

        Returns:
            Shape (B, H, W), in nats; `-log_prob(x).sum((1, 2))` is the nll of each image.
        """

    @abstractmethod
    def colour_log_prob(self, colour: int, x: Tensor) -> Tensor:
        """Log-probability of every level of a colour, given the colours before it in `x`.

        Args:
            colour: Index of the colour, 0 .. C-1.
            x: (B, C, H, W) in [-1, 1]; this and later colours are ignored.

        Returns:
            Shape (B, H, W, L), in nats; the probabilities over L sum to one.
        """

    def sample(
        self, noise: Tensor, temperature: float = 1.0, *, guide: "Likelihood | None" = None, guidance: float = 0.0
    ) -> Tensor:
        """Draws each pixel, colour by colour, by inverting the discrete CDF with one uniform number per colour.

        With a guide, each colour is drawn from the renormalised log-probabilities (1 + w) l_c - w l_null over its
        levels, where l_c are those of this distribution and l_null those of the guide: classifier-free guidance (Ho and
        Salimans, 2022, https://arxiv.org/abs/2207.12598, Eq. 6), applied to the conditional distribution of each
        colour. Both distributions are conditioned on the colours already drawn, each with the responsibilities of its
        own mixture. The result is a chain of renormalised conditionals, which differs from a power of the joint
        distribution.

        Args:
            noise: Uniform numbers in [0, 1), shape (B, C, H, W).
            temperature: T of p^(1/T) over the levels of each colour, renormalised.
            guide: The unconditional distribution; None for no guidance.
            guidance: w; 0 disables guidance.

        Returns:
            x in [-1, 1], shape (B, C, H, W); every value is one of the L levels.
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
        """The result of `sample` at temperature 1 without guidance; a subclass may compute it faster."""
        return self.sample(noise)
