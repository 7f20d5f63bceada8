"""What the optimizer minimises: functions of (network, batch, key)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pixelbayes.images.pixels import to_x
from pixelbayes.models.fusion import NO_LABEL, Condition
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.training.config import TrainingConfig
from pixelbayes.utils.randomness import Key


class Batch(NamedTuple):
    """Images to learn from."""

    pixels: Tensor  # uint8 levels, (B, C, H, W)
    label: Tensor  # int64 (B,), NO_LABEL where unknown
    view: Tensor | None = None  # int64 (B,), for a network that is told of it
    clean: "Batch | None" = None  # the same images as they were before augmentation, if the likelihood is to be of them


WHOLE = torch.ones(1, 1, 1, 1)  # all of an image is shown, whatever the network's context dropout

Objective = Callable[[PixelCNN, Batch, Key], Tensor]  # to what is minimised; or (2,): that, and its bits per dimension


def generative(network: PixelCNN, batch: Batch, key: Key) -> Tensor:
    """Mean of -log p(x | c) in bits per dimension: maximum likelihood.

    Args:
        key: Randomness of the step, a stream for each image.
    """
    return bits_per_dim(-own_log_prob(network, batch, key), network.config.dims).mean()


def own_log_prob(network: PixelCNN, batch: Batch, key: Key, shown: Tensor | None = None) -> Tensor:
    """log p(x | own label), (B,), in nats; `shown` as in `PixelCNN.forward`."""
    x = to_x(batch.pixels, network.config.levels, next(network.parameters()).dtype)
    return network.log_prob(x, Condition(batch.label, batch.view), key, shown)


def chosen_objective(config: TrainingConfig, prior: Sequence[float]) -> Objective:
    """What a config says is to be minimised.

    Args:
        config: The choice.
        prior: p(c), Y numbers.
    """
    if not config.posterior_weight:
        return generative
    return Hybrid(config.posterior_weight, config.posterior_temperature, torch.tensor(prior).log())


def phases(objective: Objective) -> tuple[Objective, Objective]:
    """What is minimised before the posterior counts, and from then on."""
    return (objective.generative, objective) if isinstance(objective, Hybrid) else (objective, objective)


class Hybrid(nn.Module):
    """Bits per dimension plus `weight` times the cross-entropy of the Bayes posterior: generative and discriminative.

    -log2 p(x | c) / (C H W) - weight * log softmax over c' of (log p(x | c') / T + log p(c')) at c, in nats. The
    blend of Bouchard and Triggs (2004), The tradeoff between generative and discriminative classifiers, Eq. 4, of one
    set of weights (Lasserre et al., 2006, on what such a blend means). Without T every posterior of an image would be
    0 or 1, for a hundredth of a bit per dimension is 21 nats, and there would be nothing to learn from; T is learnt.

    All classes of an image go through in one pass and under the same dropout masks, so that chance does not decide
    between them. An image without a label counts by p(x), and not for the posterior. Where the batch has clean images
    beside augmented ones, bits per dimension are of the clean ones. No part of an image is hidden: context dropout is
    for likelihood alone.

    Args:
        weight: lambda, of the cross-entropy.
        temperature: T to begin with, in nats.
        log_prior: log p(c), (Y,), in nats.
    """

    log_prior: Tensor

    def __init__(self, weight: float, temperature: float, log_prior: Tensor):
        super().__init__()
        self.weight = weight
        self.log_temperature = nn.Parameter(torch.tensor(temperature).log())
        self.register_buffer("log_prior", log_prior, persistent=False)

    @property
    def temperature(self) -> float:
        """T, in nats."""
        return float(self.log_temperature.detach().exp())

    def generative(self, network: PixelCNN, batch: Batch, key: Key) -> Tensor:
        """Bits per dimension alone, of clean images where there are any; for epochs before the posterior counts.

        T takes part without weight, so that processes that share a step all know it as learnt.
        """
        clean = batch if batch.clean is None else batch.clean
        return generative(network, clean, key) + 0 * self.log_temperature

    def forward(self, network: PixelCNN, batch: Batch, key: Key) -> Tensor:
        log_prob = class_log_prob(network, batch, len(self.log_prior), key)  # (B, Y)
        known = batch.label != NO_LABEL
        label = batch.label.clamp(min=0)
        own = log_prob.gather(1, label[:, None]).squeeze(1)
        if batch.clean is not None:
            own = own_log_prob(network, batch.clean, key, WHOLE)
        own = torch.where(known, own, (log_prob + self.log_prior).logsumexp(dim=1))
        logits = log_prob / self.log_temperature.exp() + self.log_prior
        surprise = torch.where(known, cross_entropy(logits, label, reduction="none"), 0.0)
        bits = bits_per_dim(-own, network.config.dims).mean()
        return torch.stack((bits + self.weight * surprise.mean(), bits))


def class_log_prob(network: PixelCNN, batch: Batch, num_classes: int, key: Key) -> Tensor:
    """log p(x | c) under every class, (B, Y), in nats; the dropout masks of an image are the same for every class."""
    x = to_x(batch.pixels, network.config.levels, next(network.parameters()).dtype)
    view = None if batch.view is None else batch.view.repeat_interleave(num_classes)
    told = Condition(torch.arange(num_classes, device=x.device).repeat(len(x)), view)
    rows = x.repeat_interleave(num_classes, dim=0)
    log_prob = network.log_prob(rows, told, Key(key.state.repeat_interleave(num_classes)), WHOLE)
    return log_prob.unflatten(0, (len(x), num_classes))
