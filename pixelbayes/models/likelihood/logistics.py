"""The discretised mixture of logistics, the likelihood of PixelCNN++."""

import math
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelbayes.images.pixels import to_level, to_x
from pixelbayes.models.likelihood.base import Likelihood, at_least_float32

LOG_SCALE_RANGE = (-7.0, 7.0)  # lower bound of the authors' code; the upper one keeps the mass of a bin above underflow


class MixtureOfLogistics(Likelihood):
    """Discretised mixture of K logistics over one C-channel pixel at each position.

    Salimans et al. (2017), https://arxiv.org/abs/1701.05517, section 2.1, Eq. 2; the means of later channels are linear
    in earlier channels, Eq. 3. The probability of a level is the mass of the logistic between the edges of the level.
    The lowest level also takes all mass below it, the highest all mass above it. The log-scale is clamped to [-7, 7];
    there is no other threshold. Half precision is converted to float32.

    Args:
        params: Network output, shape (B, 10K, H, W) for 3 channels and (B, 3K, H, W) for 1, unbounded: K mixture
            logits, then for each colour K means, K log-scales and, with 3 channels, K coefficients.
        channels: C, colours per pixel, 1 or 3.
        levels: L, number of values a colour can take; 256 for 8-bit images.

    Raises:
        ValueError: If the number of channels of `params` is not a multiple of `numbers_per_mixture`.
    """

    @staticmethod
    def numbers_per_mixture(channels: int) -> int:
        """Number of parameters of one component: a logit, means, log-scales and coefficients."""
        return 1 + 2 * channels + (3 if channels == 3 else 0)

    @classmethod
    def num_params(cls, channels: int, levels: int, num_mixtures: int) -> int:
        return num_mixtures * cls.numbers_per_mixture(channels)

    def __init__(self, params: Tensor, channels: int, levels: int):
        params = at_least_float32(params)
        num_mixtures, rest = divmod(params.shape[1], self.numbers_per_mixture(channels))
        if rest or not num_mixtures:
            raise ValueError(
                f"params has {params.shape[1]} channels, expected a multiple of {self.numbers_per_mixture(channels)} "
                f"for images of {channels} channels"
            )
        super().__init__(channels, levels, params.dtype)
        self.mixture_logits, per_colour = params.tensor_split([num_mixtures], dim=1)  # (B, K, H, W) and the rest
        means, log_scales, *coeffs = torch.unflatten(per_colour, 1, (channels, -1, num_mixtures)).unbind(2)
        self.means = means  # (B, C, K, H, W)
        self.log_scales = log_scales.clamp(*LOG_SCALE_RANGE)
        self.coeffs = coeffs[0].tanh() if channels == 3 else None

    def log_prob(self, x: Tensor) -> Tensor:
        x = x.to(self.means.dtype)
        means = self.means
        if self.coeffs is not None:
            to_green, red_to_blue, green_to_blue = self.coeffs.unbind(1)  # (B, K, H, W) each
            red, green, _ = x[:, :, None].unbind(1)  # (B, 1, H, W) each
            shifts = (torch.zeros_like(to_green), to_green * red, red_to_blue * red + green_to_blue * green)
            means = means + torch.stack(shifts, dim=1)
        log_bins = self._log_bin(x[:, :, None], to_level(x, self.levels)[:, :, None], means, self.log_scales)
        return (self.log_weights() + log_bins.sum(dim=1)).logsumexp(dim=1)

    def colour_log_prob(self, colour: int, x: Tensor) -> Tensor:
        log_weights = self.log_weights()
        for earlier in range(colour):
            mean, log_scale = self._conditional(earlier, x)
            here = x[:, earlier, None]  # (B, 1, H, W)
            log_weights = log_weights + self._log_bin(here, to_level(here, self.levels), mean, log_scale)
        responsibilities = log_weights.log_softmax(dim=1)[..., None]  # given the earlier colours, (B, K, H, W, 1)
        return (responsibilities + self.level_log_prob(colour, x)).logsumexp(dim=1)

    def invert(self, noise: Tensor) -> Tensor:
        # the cumulative probability of a level is a sum of K sigmoids, so no sum over the levels is needed
        x = torch.zeros_like(noise, dtype=self.dtype)
        log_weights = self.log_weights()
        for colour in range(self.channels):
            mean, log_scale = self._conditional(colour, x)
            level = self._search(noise[:, colour], log_weights.softmax(dim=1), mean, log_scale)  # (B, H, W)
            x[:, colour] = to_x(level, self.levels, self.dtype)
            if colour < self.channels - 1:
                log_weights = log_weights + self._log_bin(x[:, colour, None], level[:, None], mean, log_scale)
        return x

    def _search(self, noise: Tensor, weights: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        """The lowest level whose cumulative probability exceeds the noise, (B, H, W).

        Searches the level's block of about sqrt(L) levels first, then the level within the block.
        """
        noise = noise.to(weights.dtype) * _sum_over_components(weights)  # the sum is 1, except for rounding
        block = math.isqrt(self.levels - 1) + 1  # levels per block
        ends = torch.arange(block - 1, self.levels - 1, block, device=noise.device)  # the last level has no upper edge
        first = block * self._count_below(ends.expand(*noise.shape, -1), noise, weights, mean, log_scale)
        within = first[..., None] + torch.arange(block - 1, device=noise.device)
        return (first + self._count_below(within, noise, weights, mean, log_scale)).clamp(max=self.levels - 1)

    def _count_below(self, level: Tensor, noise: Tensor, weights: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        """Number of the levels (B, H, W, N) whose cumulative probability does not exceed the noise, (B, H, W)."""
        edge = to_x(level, self.levels, mean.dtype)[:, None] + 1 / (self.levels - 1)  # (B, 1, H, W, N)
        below = torch.sigmoid((edge - mean[..., None]) * torch.exp(-log_scale)[..., None])  # (B, K, H, W, N)
        cumulative = _sum_over_components(weights[..., None] * below)
        return (cumulative <= noise[..., None]).sum(dim=-1)

    def log_weights(self) -> Tensor:
        """Log of the mixture weights, (B, K, H, W)."""
        return torch.log_softmax(self.mixture_logits, dim=1)

    def level_log_prob(self, colour: int, x: Tensor) -> Tensor:
        """Log-probability of every level of a colour under each component, given the colours before it in `x`.

        Returns:
            Shape (B, K, H, W, L), in nats; the probabilities over L sum to one.
        """
        level = torch.arange(self.levels, device=x.device)
        mean, log_scale = self._conditional(colour, x)
        return self._log_bin(to_x(level, self.levels, mean.dtype), level, mean[..., None], log_scale[..., None])

    def _conditional(self, colour: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-scale of a colour under each component, (B, K, H, W), given the colours before it in `x`."""
        mean, log_scale = self.means[:, colour], self.log_scales[:, colour]
        if colour == 1 and self.coeffs is not None:
            mean = mean + self.coeffs[:, 0] * x[:, 0, None]
        elif colour == 2 and self.coeffs is not None:
            mean = mean + self.coeffs[:, 1] * x[:, 0, None] + self.coeffs[:, 2] * x[:, 1, None]
        return mean, log_scale

    def _log_bin(self, x: Tensor, level: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        """Log-probability of a level under one logistic, in nats; `x` is the centre of the level.

        With a, b the scaled upper and lower edges, sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)).
        The difference a - b = 2 / ((L - 1) s) is computed from the scale s, because subtracting b from a would lose its
        digits by cancellation.
        """
        half_bin = 1 / (self.levels - 1)
        inverse_scale = torch.exp(-log_scale)
        upper = _saturate((x + half_bin - mean) * inverse_scale)
        lower = _saturate((x - half_bin - mean) * inverse_scale)
        log_difference = torch.log(-torch.expm1(-2 * half_bin * inverse_scale))
        inner = F.logsigmoid(upper) + F.logsigmoid(-lower) + log_difference
        outer = torch.where(level == 0, F.logsigmoid(upper), F.logsigmoid(-lower))
        return torch.where((level == 0) | (level == self.levels - 1), outer, inner)


def _sum_over_components(terms: Tensor) -> Tensor:
    """Sums the K components, (B, K, ...) -> (B, ...), always in the same order.

    `Tensor.sum` chooses the order by the shape. Its rounding could then make a cumulative probability smaller than that
    of a lower level, or smaller than the sum of the weights although nothing lies above the level.
    """
    return reduce(torch.add, terms.unbind(dim=1))


def _saturate(edge: Tensor) -> Tensor:
    """Clamps edges that would overflow, so that sums of log-probabilities stay finite. Other edges are unchanged."""
    limit = torch.finfo(edge.dtype).max / 64
    return edge.clamp(-limit, limit)
