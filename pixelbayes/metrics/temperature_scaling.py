"""Temperature scaling: one number T that calibrates a posterior, log p(x | c) / T in place of log p(x | c).

A difference of 0.01 bits per dimension between two classes is 21 nats for a 32 x 32 colour image, so the likelihoods of
whole images are overconfident. Guo et al. (2017), On calibration of modern neural networks,
https://arxiv.org/abs/1706.04599, section 4.2; here T divides the log-likelihood and leaves the prior unchanged.
"""

from math import exp, log

import torch
from torch import Tensor

from pixelbayes.inference.classifier import log_posterior

MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-3, 1e6
FOLDS = 5


def fit_temperature(log_likelihood: Tensor, log_prior: Tensor, labels: Tensor) -> float:
    """The T that minimises the mean of -log p(label | x), with p(c | x) = softmax(log p(x | c) / T + log p(c)).

    The mean is convex in 1/T. Its slope, the mean over images of E[log p(x | c)] - log p(x | label) under p(c | x), has
    at most one zero, which is found by bracketing (Brent, 1973). Without a zero the result is a bound: MIN_TEMPERATURE
    if the likelihood of every image is largest for its label, MAX_TEMPERATURE if the likelihoods are uninformative or
    worse.

    Args:
        log_likelihood: log p(x | c), (N, Y), in nats; or the logits of a network without a density.
        log_prior: log p(c), (Y,), in nats; zeros for logits.
        labels: int64 (N,), in -1 .. Y-1; images with the label -1 (unknown) are left out.

    Raises:
        ValueError: If no image has a label.
    """
    from scipy.optimize import brentq  # takes a second to import

    labelled = labels >= 0
    if not labelled.any():
        raise ValueError("no image has a label, expected at least one")
    evidence, true = log_likelihood[labelled].double(), labels[labelled, None]
    difference = evidence - evidence.gather(1, true)  # exactly 0 at the label, so that the sign of the slope is exact

    def slope(log_temperature: float) -> float:
        p = log_posterior(evidence, log_prior, exp(log_temperature)).exp()
        return float((p * difference).sum(dim=1).mean())

    if slope(log(MAX_TEMPERATURE)) >= 0:
        return MAX_TEMPERATURE
    if slope(log(MIN_TEMPERATURE)) <= 0:
        return MIN_TEMPERATURE
    return exp(brentq(slope, log(MIN_TEMPERATURE), log(MAX_TEMPERATURE), xtol=1e-12))


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
        temperature = fit_temperature(log_likelihood[~here], log_prior, labels[~here])
        result[here] = log_posterior(log_likelihood[here].double(), log_prior, temperature)
    return result
