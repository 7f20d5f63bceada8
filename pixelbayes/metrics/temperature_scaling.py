"""One number that makes a posterior mean what it says: log p(x | c) / T in place of log p(x | c).

A difference of 0.01 bits per dimension between classes is 21 nats for a 32 x 32 colour image: likelihoods of whole
images are sure of everything, and right less often than that. Guo et al. (2017), On calibration of modern neural
networks, https://arxiv.org/abs/1706.04599, section 4.2; here the likelihood is tempered and the prior is not.
"""

import hashlib
from math import exp, log

import torch
from scipy.optimize import brentq
from torch import Tensor

from pixelbayes.data import Split
from pixelbayes.inference.classifier import log_posterior

COLDEST, HOTTEST = 1e-3, 1e6
FOLDS = 5


def fit_temperature(log_likelihood: Tensor, log_prior: Tensor, labels: Tensor) -> float:
    """The T that minimises the mean of -log p(label | x), p(c | x) = softmax(log p(x | c) / T + log p(c)).

    The mean is convex in 1/T, so that its slope, the mean over images of E[log p(x | c)] - log p(x | label) under
    p(c | x), has one zero at most; it is found by bracketing (Brent, 1973). Where it has none the nearer bound is the
    answer: COLDEST if every likelihood is largest for the label and surer is always better, HOTTEST if the
    likelihoods know less than nothing, or nothing.

    Args:
        log_likelihood: log p(x | c), (N, Y), in nats; or the logits of a network that has no density.
        log_prior: log p(c), (Y,), in nats; zeros for logits.
        labels: int64 (N,), in -1 .. Y-1; images whose label is -1 (unknown) are left out.

    Raises:
        ValueError: If no image has a label.
    """
    labelled = labels >= 0
    if not labelled.any():
        raise ValueError("no image has a label, expected one at least")
    evidence, truth = log_likelihood[labelled].double(), labels[labelled, None]
    ahead = evidence - evidence.gather(1, truth)  # exactly 0 at the label, so that the slope's sign is exact

    def slope(log_temperature: float) -> float:
        p = log_posterior(evidence, log_prior, exp(log_temperature)).exp()
        return float((p * ahead).sum(dim=1).mean())

    if slope(log(HOTTEST)) >= 0:
        return HOTTEST
    if slope(log(COLDEST)) <= 0:
        return COLDEST
    return exp(brentq(slope, log(COLDEST), log(HOTTEST), xtol=1e-12))


def cross_fitted(log_likelihood: Tensor, log_prior: Tensor, labels: Tensor, *, seed: int = 0) -> Tensor | None:
    """log p(c | x), (N, Y), each image's at a temperature that was fitted without it.

    The images fall into FOLDS parts at random, and each part takes the temperature of the others: what a temperature is
    worth where there are no other images to fit it on.

    Args:
        log_likelihood, log_prior, labels: As in `fit_temperature`.
        seed: Decides the parts.

    Returns:
        None where fewer than FOLDS images have a label.
    """
    labelled = labels >= 0
    if int(labelled.sum()) < FOLDS:
        return None
    order = torch.randperm(int(labelled.sum()), generator=torch.Generator().manual_seed(seed))
    fold = torch.empty_like(labels)
    fold[labelled] = order % FOLDS
    fold[~labelled] = torch.arange(int((~labelled).sum())) % FOLDS
    found = torch.empty(log_likelihood.shape, dtype=torch.float64)
    for held_out in range(FOLDS):
        here = fold == held_out
        temperature = fit_temperature(log_likelihood[~here], log_prior, labels[~here])
        found[here] = log_posterior(log_likelihood[here].double(), log_prior, temperature)
    return found


def fingerprint(split: Split) -> str:
    """A name for these very images and labels: 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (split.pixels, split.labels):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
