"""Bayes' rule over anything that has a log-probability."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from pixelbayes.images.pixels import check_floats, check_x, to_x
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.utils.progress import Tracker, no_progress


class Density(Protocol):
    """Anything that computes log p(x | c)."""

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        """log p(x | label) of images (B, C, H, W) under labels int64 (B,), shape (B,), in nats."""


@runtime_checkable
class ClassDensity(Protocol):
    """A density that computes all classes together, faster than one after another; `Scorer` is one."""

    def class_log_prob(self, x: Tensor, num_classes: int) -> Tensor:
        """log p(x | c) of images (B, C, H, W) under every class, (B, Y), in nats."""


def log_posterior(log_prob: Tensor, log_prior: Tensor, temperature: float = 1.0) -> Tensor:
    """log p(c | x), (B, Y), in nats: log softmax over c of log p(x | c) / T + log p(c).

    Likelihoods of whole images are overconfident, because the errors of all pixels add up. A temperature above 1
    corrects that (Guo et al., 2017, https://arxiv.org/abs/1706.04599). It does not affect the prior, which can
    therefore be replaced.

    Args:
        log_prob: log p(x | c), (B, Y), in nats.
        log_prior: log p(c), (Y,), in nats.
        temperature: T, above 0.
    """
    return torch.log_softmax(log_prob / temperature + log_prior.to(log_prob), dim=1)


class BayesClassifier:
    """Bayes' rule: p(c | x) = p(x | c) p(c) / sum over c' of p(x | c') p(c'), with an optional temperature.

    Args:
        density: Anything with `log_prob(x, label)`; if it has `class_log_prob(x, num_classes)`, that is used.
        log_prior: log p(c), (Y,), in nats; need not be normalised.
        temperature: T of `log_posterior`, above 0; 1 is Bayes' rule itself.

    Raises:
        ValueError: If the prior is not a vector, or the temperature not above 0.

    >>> class Coin:
    ...     def log_prob(self, x, label):  # heads (1) with probability 0.9 under class 0, 0.5 under class 1
    ...         heads = torch.tensor([0.9, 0.5])[label]
    ...         return torch.where(x.flatten() > 0, heads, 1 - heads).log()
    >>> classifier = BayesClassifier(Coin(), log_prior=torch.zeros(2))
    >>> classifier.predict_proba(torch.tensor([[[[1.0]]]]))  # 0.9 / (0.9 + 0.5)
    tensor([[0.6429, 0.3571]])
    """

    def __init__(self, density: Density | ClassDensity, log_prior: Tensor, temperature: float = 1.0):
        if log_prior.ndim != 1 or len(log_prior) < 1:
            raise ValueError(f"log_prior has shape {tuple(log_prior.shape)}, expected (Y,) with Y at least 1")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}, expected a number above 0")
        self.density = density
        self.log_prior = log_prior.log_softmax(dim=0)
        self.temperature = temperature

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x | c) for every class, (B, Y), in nats.

        Args:
            x: Images, (B, C, H, W), as the density takes them; for a network of this package on its levels in [-1, 1].

        Raises:
            InputError: If x has an integer type, or the network takes images of another shape or other values.
        """
        check_floats(x)
        if isinstance(self.density, PixelCNN):  # it computes gradients too, so it takes values between the levels
            check_x(x, self.density.config.image_shape)
        if isinstance(self.density, ClassDensity):
            return self.density.class_log_prob(x, len(self.log_prior))
        labels = torch.arange(len(self.log_prior), device=x.device)
        return torch.stack([self.density.log_prob(x, label.expand(len(x))) for label in labels], dim=1)

    def posterior(self, log_prob: Tensor) -> Tensor:
        """p(c | x), (B, Y), from log p(x | c)."""
        return self.log_posterior(log_prob).exp()

    def log_posterior(self, log_prob: Tensor) -> Tensor:
        """log p(c | x), (B, Y), in nats, from log p(x | c)."""
        return log_posterior(log_prob, self.log_prior, self.temperature)

    def log_prob_of(self, log_prob: Tensor, label: Tensor) -> Tensor:
        """log p(x | label), (B,), in nats; where the label is NO_LABEL, log p(x) = log sum over c of p(c) p(x | c).

        Args:
            log_prob: log p(x | c), (B, Y).
            label: int64 (B,), 0 .. Y-1 or NO_LABEL.
        """
        own = log_prob.gather(1, label.clamp(min=0)[:, None]).squeeze(1)
        mixture = (log_prob + self.log_prior.to(log_prob)).logsumexp(dim=1)
        return torch.where(label == NO_LABEL, mixture, own)

    def predict_proba(self, x: Tensor) -> Tensor:
        """p(c | x), (B, Y); x as in `log_prob`."""
        return self.posterior(self.log_prob(x))

    def predict(self, x: Tensor) -> Tensor:
        """argmax over c of p(c | x), int64 (B,); x as in `log_prob`."""
        return self.log_posterior(self.log_prob(x)).argmax(dim=1)


def score(
    log_prob: Callable[[Tensor], Tensor],
    pixels: Tensor,
    levels: int,
    *,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    track: Tracker = no_progress,
) -> Tensor:
    """log p(x | c) of many images under every class, computed in batches.

    Args:
        log_prob: Maps images (B, C, H, W) to log-probabilities (..., B, Y), in nats, as `BayesClassifier.log_prob`.
        pixels: uint8 levels, (N, C, H, W).
        levels: L.
        batch_size: Images per batch.
        device: The device of the density.
        track: Wraps the loop over batches, to show progress.

    Returns:
        log p(x | c), float64 (..., N, Y), in nats, on the CPU.
    """
    parts = [
        log_prob(to_x(pixels[start : start + batch_size].to(device), levels)).double().cpu()
        for start in track(range(0, max(1, len(pixels)), batch_size))
    ]
    return torch.cat(parts, dim=-2)
