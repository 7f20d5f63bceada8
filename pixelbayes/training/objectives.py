"""Training objectives: functions of (network, batch, key) that the optimizer minimises."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from pixelbayes.images.pixels import to_x
from pixelbayes.inference.all_classes import score_classes
from pixelbayes.models.fusion import NO_LABEL, Condition
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.training.config import TrainingConfig
from pixelbayes.utils.randomness import Key


class Batch(NamedTuple):
    """Training images with their conditions."""

    pixels: Tensor
    """uint8 levels, (B, C, H, W), augmented"""
    label: Tensor
    """int64 (B,), 0 .. Y-1 or NO_LABEL"""
    view: Tensor | None = None
    """int64 (B,), as in `Condition`"""
    target: Tensor | None = None
    """target probabilities of the classification terms, (B, Y); None for the labels"""
    clean: "Batch | None" = None
    """the same images without augmentation, if the likelihood is computed on them"""

    @property
    def condition(self) -> Condition:
        return Condition(self.label, self.view)


Objective = Callable[[PixelCNN, Batch, Key], Tensor]
"""Returns the loss, shape (); or (2,), the loss and the bits per dimension, if they differ."""

DIMS_PER_NAT = 40
"""Number of colour values per nat of the initial temperature, if the config does not name one."""

ALL_VISIBLE = torch.ones(1, 1, 1, 1)
"""The mask that disables context dropout."""


def likelihood_loss(network: PixelCNN, batch: Batch, key: Key, auxiliary_weight: float = 0.0) -> Tensor:
    """Maximum likelihood: the mean of -log2 p(x | label) / (C H W), in bits per dimension.

    Args:
        network: The network.
        batch: B images.
        key: Random key of dropout, one stream per image.
        auxiliary_weight: Weight of the cross-entropy of the network's auxiliary head, if it has one.

    Returns:
        The bits per dimension, (); with an auxiliary head the loss and the bits per dimension, (2,).
    """
    x = _images(network, batch)
    params, class_logits = network.outputs(x, batch.condition, key)
    log_prob = network.likelihood(params).log_prob(x).sum(dim=(1, 2))
    bits = bits_per_dim(-log_prob, network.config.image_shape.dims).mean()
    if class_logits is None:
        return bits
    return torch.stack((bits + auxiliary_weight * classification_loss(class_logits, batch), bits))


def classification_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the targets, in nats, () for logits (B, Y); images without a label contribute 0."""
    label = batch.label.clamp(min=0)
    target = one_hot(label, logits.shape[1]) if batch.target is None else batch.target
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = -(target * logits.log_softmax(dim=1)).sum(dim=1)
    return torch.where(batch.label != NO_LABEL, losses, 0.0).mean()


def label_log_prob(network: PixelCNN, batch: Batch, key: Key, visible: Tensor | None = None) -> Tensor:
    """log p(x | label) of each image under its own label, (B,), in nats; `visible` as in `PixelCNN.forward`."""
    return network.log_prob(_images(network, batch), batch.condition, key, visible)


def _images(network: PixelCNN, batch: Batch) -> Tensor:
    return to_x(batch.pixels, network.config.image_shape.levels, next(network.parameters()).dtype)


def make_objective(config: TrainingConfig, prior: Sequence[float], dims: int) -> Objective:
    """The objective of a config.

    Args:
        config: The settings.
        prior: p(c), Y numbers.
        dims: C H W, number of colour values of an image.
    """
    if not config.classification_weight:
        return partial(likelihood_loss, auxiliary_weight=config.auxiliary_weight)
    return HybridLoss(
        config.classification_weight,
        config.classification_temperature or dims / DIMS_PER_NAT,
        torch.tensor(prior).log(),
        config.auxiliary_weight,
    )


def phases(objective: Objective) -> tuple[Objective, ...]:
    """The objective of each phase of training, in the order of `TrainingConfig.phase_epochs`."""
    return (objective.likelihood_only, objective) if isinstance(objective, HybridLoss) else (objective,)


class HybridLoss(nn.Module):
    """Hybrid objective: bits per dimension plus lambda times the cross-entropy of the Bayes posterior.

        -log2 p(x | label) / (C H W) - lambda log p(label | x),
        p(c | x) = p(x | c)^(1/T) p(c) / sum over c' of p(x | c')^(1/T) p(c'),

    with a single set of weights: Bouchard and Triggs (2004), The tradeoff between generative and discriminative
    classifiers, Eq. 4. Lasserre, Bishop and Minka (2006), Principled hybrids of generative and discriminative models,
    discuss what such a blend means.

    T is learned. At T = 1 every posterior would be close to 0 or 1, because at 32 x 32 pixels a hundredth of a bit per
    dimension is 21 nats, and the cross-entropy would give no useful gradient.

    All classes of an image go through the network in one pass and share its dropout masks, so the masks do not affect
    the difference between two classes. An image without a label contributes -log p(x) to the bits per dimension and
    nothing to the cross-entropy. If the batch has clean images, the bits per dimension of labelled images are computed
    on them. Context dropout is disabled.

    Args:
        weight: lambda.
        temperature: Initial T, in nats.
        log_prior: log p(c), (Y,), in nats.
        auxiliary_weight: As in `likelihood_loss`.
    """

    log_prior: Tensor

    def __init__(self, weight: float, temperature: float, log_prior: Tensor, auxiliary_weight: float = 0.0):
        super().__init__()
        self.weight = weight
        self.auxiliary_weight = auxiliary_weight
        self.log_temperature = nn.Parameter(torch.tensor(temperature).log())
        self.register_buffer("log_prior", log_prior, persistent=False)

    @property
    def temperature(self) -> float:
        """T, in nats."""
        return float(self.log_temperature.detach().exp())

    def likelihood_only(self, network: PixelCNN, batch: Batch, key: Key) -> Tensor:
        """`likelihood_loss`, on the clean images if there are any."""
        clean = batch if batch.clean is None else batch.clean
        # T contributes 0, because data-parallel training needs a gradient for every parameter
        return likelihood_loss(network, clean, key, self.auxiliary_weight) + 0 * self.log_temperature

    def forward(self, network: PixelCNN, batch: Batch, key: Key) -> Tensor:
        """The loss and the bits per dimension, (2,); arguments as in `likelihood_loss`."""
        every_label = torch.arange(len(self.log_prior), device=batch.label.device)
        log_prob, class_logits = score_classes(
            network, _images(network, batch), every_label, batch.view, key, ALL_VISIBLE
        )
        labelled = batch.label != NO_LABEL
        label = batch.label.clamp(min=0)
        own = log_prob.gather(1, label[:, None]).squeeze(1)
        if batch.clean is not None:
            own = label_log_prob(network, batch.clean, key, ALL_VISIBLE)
        own = torch.where(labelled, own, (log_prob + self.log_prior).logsumexp(dim=1))
        bits = bits_per_dim(-own, network.config.image_shape.dims).mean()
        logits = log_prob / self.log_temperature.exp() + self.log_prior
        loss = bits + self.weight * classification_loss(logits, batch)
        if class_logits is not None:
            loss = loss + self.auxiliary_weight * classification_loss(class_logits, batch)
        return torch.stack((loss, bits))
