"""A softmax over the levels of each colour, the likelihood of the original PixelCNN."""

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_level
from pixelbayes.models.likelihood.base import Likelihood, at_least_float32


class Categorical(Likelihood):
    """A softmax over all L levels of each colour of a pixel. It does not use the order of the levels.

    Van den Oord et al. (2016), Pixel Recurrent Neural Networks, https://arxiv.org/abs/1601.06759, section 2.2. Their
    network has layers masked by colour. Here the same network serves both likelihoods, so the logit of a level is
    linear in the colours before it, like the means of the mixture of logistics:
    logit_g(l) = a_g(l) + b_g(l) x_r, logit_b(l) = a_b(l) + b_b(l) x_r + c_b(l) x_g.

    Args:
        params: Network output, shape (B, L C (C + 1) / 2, H, W), unbounded: for each colour L intercepts a, then L
            slopes for each colour before it.
        channels: C, colours per pixel.
        levels: L, number of values a colour can take.

    Raises:
        ValueError: If `params` does not have L C (C + 1) / 2 channels.
    """

    @classmethod
    def num_params(cls, channels: int, levels: int, num_mixtures: int) -> int:
        return levels * channels * (channels + 1) // 2

    def __init__(self, params: Tensor, channels: int, levels: int):
        expected = self.num_params(channels, levels, 0)
        if params.shape[1] != expected:
            raise ValueError(f"params has {params.shape[1]} channels, expected {expected}")
        params = at_least_float32(params)
        super().__init__(channels, levels, params.dtype)
        terms = torch.unflatten(params, 1, (-1, levels))  # (B, C (C + 1) / 2, L, H, W)
        self.terms = torch.split(terms, [colour + 1 for colour in range(channels)], dim=1)

    def colour_log_prob(self, colour: int, x: Tensor) -> Tensor:
        intercept, *slopes = self.terms[colour].unbind(dim=1)  # (B, L, H, W) each
        logits = intercept
        for earlier, slope in enumerate(slopes):
            logits = logits + slope * x[:, earlier, None]
        return logits.movedim(1, -1).log_softmax(dim=-1)  # (B, H, W, L)

    def log_prob(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype)
        level = to_level(x, self.levels)  # (B, C, H, W)
        parts = [
            self.colour_log_prob(colour, x).gather(-1, level[:, colour, ..., None]).squeeze(-1)
            for colour in range(self.channels)
        ]
        return torch.stack(parts).sum(dim=0)  # (B, H, W)
