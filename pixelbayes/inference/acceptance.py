"""Sampling with acceptance: a judge keeps the best samples of each class, and the result still has a density.

Truncated rejection sampling (Bauer and Mnih, 2019, Resampled priors for variational autoencoders,
https://arxiv.org/abs/1810.11428): draw from p(x | c) until the judge accepts, at most K times; if it accepts none, keep
the last draw. With A_c(x) = 1 where the judge accepts and 0 elsewhere, and Z_c the probability that it accepts a draw
of class c, the result has the density

    p_K(x | c) = p(x | c) ((1 - a) A_c(x) / Z_c + a),  a = (1 - Z_c)^(K - 1).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.inference.sample import sample_images
from pixelbayes.inference.sampler import DEFAULT_SAMPLING, SamplingConfig
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.utils.progress import Tracker, no_progress

Judge = Callable[[Tensor], Tensor]
"""Maps images, uint8 levels (N, C, H, W), to log p(c | x), (N, Y), in nats."""

LEFT_OVER = 0.01  # at most this share of the samples is kept without having been accepted, by default
PILOT_ACCEPTED = 25  # draws of a class above the threshold in each pilot set, on average

PILOT_STEPS = (1, 2)  # of `sampling_noise`: the pilot draws that fix the thresholds, and those that measure them
FIRST_STEP = 3  # of the first draw of every sample


@dataclass(frozen=True, kw_only=True)
class AcceptanceRule:
    """When a draw is accepted, and what follows for the density.

    Args:
        rate: The share of draws that was asked for.
        max_draws: K, at least 1.
        threshold: Smallest log-odds of the class that are accepted, as from `log_odds`, by label.
        acceptance: Z_c, the measured share of accepted draws, by label.
        pilot: Number of draws of each class that Z_c was measured on.
    """

    rate: float
    max_draws: int
    threshold: tuple[float, ...]
    acceptance: tuple[float, ...]
    pilot: int

    @property
    def expected_draws(self) -> tuple[float, ...]:
        """Expected number of draws of a sample, by label: (1 - (1 - Z_c)^K) / Z_c."""
        return tuple((1 - (1 - share) ** self.max_draws) / share for share in self.acceptance)

    def accepts(self, log_posterior: Tensor, label: Tensor) -> Tensor:
        """A_c(x), bool (N,), from log p(c | x), (N, Y), and the labels that the images were drawn from, int64 (N,)."""
        return self._accepted(log_posterior).gather(1, label[:, None]).squeeze(1)

    def log_weight(self, log_posterior: Tensor) -> Tensor:
        """log p_K(x | c) - log p(x | c) under every class, float64 (N, Y), in nats, from log p(c | x), (N, Y)."""
        share = torch.tensor(self.acceptance, dtype=torch.float64)
        left = (1 - share) ** (self.max_draws - 1)
        return torch.where(self._accepted(log_posterior), (1 - left) / share + left, left).log()

    def _accepted(self, log_posterior: Tensor) -> Tensor:
        """A_c(x) under every class, bool (N, Y)."""
        return log_odds(log_posterior) >= torch.tensor(self.threshold, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class AcceptedSamples:
    """Samples that were drawn with acceptance.

    Args:
        pixels: uint8 levels, (N, C, H, W).
        accepted: Whether the judge accepted each of them, bool (N,).
        draws: Number of draws that each of them took, int64 (N,).
    """

    pixels: Tensor
    accepted: Tensor
    draws: Tensor


def log_odds(log_posterior: Tensor) -> Tensor:
    """log p(c | x) - log(1 - p(c | x)), float64 (N, Y), in nats, from log p(c | x), (N, Y).

    It orders images as the posterior does. Where the posterior rounds to 1 it still tells them apart.
    """
    others = log_posterior.double()[:, None].repeat(1, log_posterior.shape[1], 1)  # (N, Y, Y)
    others.diagonal(dim1=1, dim2=2).fill_(-math.inf)
    return log_posterior.double() - others.logsumexp(dim=2)


def draws_for(rate: float, left_over: float = LEFT_OVER) -> int:
    """K: the fewest draws after which at most this share of the samples has not been accepted.

    >>> draws_for(0.3)
    13
    """
    return 1 if rate == 1 else math.ceil(math.log(left_over) / math.log(1 - rate))


def fit_acceptance(
    network: PixelCNN,
    labels: Sequence[int],
    judge: Judge,
    rate: float,
    config: SamplingConfig = DEFAULT_SAMPLING,
    *,
    max_draws: int | None = None,
    track: Tracker = no_progress,
) -> AcceptanceRule:
    """Fixes the threshold of each class such that a given share of its draws is accepted, and measures that share.

    The two are done on separate draws, because the share of the draws that fix a threshold says nothing about it.

    Args:
        network: The network.
        labels: All labels of the judge, 0 .. Y-1.
        judge: Judges the draws.
        rate: The share, above 0 and at most 1.
        config: How to draw.
        max_draws: K; by default `draws_for` the rate.
        track: As in `sample_images`.
    """
    count = math.ceil(PILOT_ACCEPTED / rate)
    label = torch.tensor(labels).repeat_interleave(count)
    index = torch.arange(count).repeat(len(labels))
    fixing, measuring = (
        log_odds(judge(sample_images(network, label, index, config, step=step, track=track)))
        .gather(1, label[:, None])
        .view(len(labels), count)
        for step in PILOT_STEPS
    )
    threshold = fixing.quantile(1 - rate, dim=1, interpolation="lower")
    share = (measuring >= threshold[:, None]).double().mean(dim=1)
    return AcceptanceRule(
        rate=rate,
        max_draws=max_draws or draws_for(rate),
        threshold=tuple(threshold.tolist()),
        acceptance=tuple(share.clamp(min=1 / count).tolist()),
        pilot=count,
    )


def sample_accepted(
    network: PixelCNN,
    label: Tensor,
    index: Tensor,
    judge: Judge,
    rule: AcceptanceRule,
    config: SamplingConfig = DEFAULT_SAMPLING,
    *,
    track: Tracker = no_progress,
) -> AcceptedSamples:
    """Draws given samples with acceptance: each is the first draw that the judge accepts, or the last of K.

    A sample is a function of its label, its index and the seed, as in `sample_images`.

    Args:
        network: The network.
        label: int64 (N,), 0 .. Y-1.
        index: int64 (N,), index of each image among the samples of its class.
        judge: Judges the draws.
        rule: When a draw is accepted, and K.
        config: How to draw.
        track: Wraps the loop over the draws, to show progress.
    """
    pixels = torch.empty(len(label), *network.config.image_shape.chw, dtype=torch.uint8)
    accepted = torch.zeros(len(label), dtype=torch.bool)
    draws = torch.zeros_like(label)
    for draw in track(range(rule.max_draws)):
        remaining = (~accepted).nonzero().squeeze(1)
        if len(remaining):
            drawn = sample_images(network, label[remaining], index[remaining], config, step=FIRST_STEP + draw)
            pixels[remaining] = drawn
            accepted[remaining] = rule.accepts(judge(drawn), label[remaining])
            draws[remaining] += 1
    return AcceptedSamples(pixels, accepted, draws)
