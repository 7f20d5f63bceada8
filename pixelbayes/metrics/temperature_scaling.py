"""Temperature scaling: one number T that calibrates a posterior, log p(x | c) / T in place of log p(x | c).

A difference of 0.01 bits per dimension between two classes is 21 nats for a 32 x 32 colour image, so the likelihoods of
whole images are overconfident. Guo et al. (2017), On calibration of modern neural networks,
https://arxiv.org/abs/1706.04599, section 4.2; here T divides the log-likelihood and leaves the prior unchanged.

The least NLL of a few images would be at T = 0 if all of them are classified correctly, and at an infinite T if the
likelihoods say less than the prior. Two weak assumptions prevent both:

- There is one more image, of which nothing is known: its label follows the prior, and its likelihoods are those of any
  image. So n correct images of Y equally frequent classes allow a mean posterior of at most (n + 1 / Y) / (n + 1).
  Platt (1999), Probabilistic outputs for support vector machines, section 2.2, adds two such images for the same end.
- log T has the prior N(0, log(100)^2): a network means what it says, T = 1, give or take a factor of a hundred. The
  temperatures of our densities are between 0.6 and 500.

Neither matters for a few hundred images.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pixelbayes.inference.classifier import log_posterior

LOG_BOUNDS = math.log(1e-4), math.log(1e8)
GRID = 160  # values of log T that are tried before the best one is refined
PRIOR_DEVIATION = math.log(100)  # of log T
FOLDS = 5


class Temperature(NamedTuple):
    """A fitted temperature."""

    value: float
    """T"""
    low: float
    """lower end of the interval that holds T with a probability of about 95%"""
    high: float
    """upper end"""


def fit_temperature(log_likelihood: Tensor, log_prior: Tensor, labels: Tensor) -> Temperature:
    """The most probable T under -log p(label | x), with p(c | x) = softmax(log p(x | c) / T + log p(c)).

    It minimises the sum of -log p(label | x), the mean over images of -sum over c of p(c) log p(c | x) for the
    additional image, and log(T)^2 / (2 log(100)^2). The interval is that of a normal distribution of log T with the
    curvature at the minimum.

    Args:
        log_likelihood: log p(x | c), (N, Y), in nats; or the logits of a network without a density.
        log_prior: log p(c), (Y,), in nats; zeros for logits.
        labels: int64 (N,), in -1 .. Y-1; images with the label -1 (unknown) are left out.

    Raises:
        ValueError: If no image has a label.
    """
    from scipy.optimize import minimize_scalar  # takes a second to import

    labelled = labels >= 0
    if not labelled.any():
        raise ValueError("no image has a label, expected at least one")
    evidence, true = log_likelihood[labelled].double(), labels[labelled, None]
    prior = log_prior.double().softmax(dim=0)  # of the additional image; uniform for logits

    def loss(log_temperature: float) -> float:
        log_p = log_posterior(evidence, log_prior, math.exp(log_temperature))
        known = log_p.gather(1, true).sum()
        unknown = torch.where(prior > 0, prior * log_p, 0.0).sum(dim=1).mean()
        return float(-known - unknown) + 0.5 * (log_temperature / PRIOR_DEVIATION) ** 2

    grid = torch.linspace(*LOG_BOUNDS, GRID).tolist()
    step = grid[1] - grid[0]
    start = min(grid, key=loss)
    best = float(
        minimize_scalar(loss, bounds=(start - step, start + step), method="bounded", options={"xatol": 1e-9}).x
    )
    near = 0.05
    curvature = (loss(best - near) - 2 * loss(best) + loss(best + near)) / near**2
    margin = 1.96 / math.sqrt(max(curvature, PRIOR_DEVIATION**-2))
    return Temperature(math.exp(best), math.exp(best - margin), math.exp(best + margin))


def fitted_nll(log_likelihood: Tensor, log_prior: Tensor, labels: Tensor) -> float:
    """Mean of -log p(label | x) over the labelled images, in nats, at the temperature that is fitted to them.

    Args:
        log_likelihood, log_prior, labels: As in `fit_temperature`.
    """
    labelled = labels >= 0
    temperature = fit_temperature(log_likelihood, log_prior, labels).value
    log_p = log_posterior(log_likelihood[labelled].double(), log_prior, temperature)
    return float(-log_p.gather(1, labels[labelled, None]).mean())


def cross_fitted(log_likelihood: Tensor, log_prior: Tensor, labels: Tensor, *, seed: int = 0) -> Tensor | None:
    """log p(c | x), (N, Y), where the temperature of each image is fitted to other images.

    The images are divided at random into FOLDS folds. The temperature of a fold is fitted to the other folds. This
    estimates the effect of a temperature without separate images to fit it to.

    Args:
        log_likelihood, log_prior, labels: As in `fit_temperature`.
        seed: Random seed of the folds.

    Returns:
        None if fewer than FOLDS images have a label.
    """
    labelled = labels >= 0
    num_labelled = int(labelled.sum())
    if num_labelled < FOLDS:
        return None
    fold = torch.empty_like(labels)
    fold[labelled] = torch.randperm(num_labelled, generator=torch.Generator().manual_seed(seed)) % FOLDS
    fold[~labelled] = torch.arange(len(labels) - num_labelled) % FOLDS
    result = torch.empty(log_likelihood.shape, dtype=torch.float64)
    for held_out in range(FOLDS):
        here = fold == held_out
        temperature = fit_temperature(log_likelihood[~here], log_prior, labels[~here]).value
        result[here] = log_posterior(log_likelihood[here].double(), log_prior, temperature)
    return result
