"""Training objectives: functions of (network, batch, key) that the optimizer minimises."""

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
    """Training images with their conditions."""

    pixels: Tensor
    """uint8 levels, (B, C, H, W), augmented"""
    label: Tensor
    """int64 (B,), 0 .. Y-1 or NO_LABEL"""
    view: Tensor | None = None
    """int64 (B,), as in `Condition`"""
    clean: "Batch | None" = None
    """the same images without augmentation, if the likelihood is computed on them"""

    @property
    def condition(self) -> Condition:
        return Condition(self.label, self.view)


Objective = Callable[[PixelCNN, Batch, Key], Tensor]
"""Returns the loss, shape (); or (2,), the loss and the bits per dimension, if they differ."""

ALL_VISIBLE = torch.ones(1, 1, 1, 1)
"""The mask that disables context dropout."""


def likelihood_loss(network: PixelCNN, batch: Batch, key: Key) -> Tensor:
    """Maximum likelihood: the mean of -log2 p(x | label) / (C H W), in bits per dimension.

    Args:
        network: The network.
        batch: B images.
        key: Random key of dropout, one stream per image.
    """
    return bits_per_dim(-label_log_prob(network, batch, key), network.config.image_shape.dims).mean()


def label_log_prob(network: PixelCNN, batch: Batch, key: Key, visible: Tensor | None = None) -> Tensor:
    """log p(x | label) of each image under its own label, (B,), in nats; `visible` as in `PixelCNN.forward`."""
    return network.log_prob(_images(network, batch), batch.condition, key, visible)


def class_log_prob(network: PixelCNN, batch: Batch, num_classes: int, key: Key) -> Tensor:
    """log p(x | c) of each image under every class, (B, Y), in nats; all classes share the image's dropout masks."""
    x = _images(network, batch)
    label = torch.arange(num_classes, device=x.device).repeat(len(x))
    view = None if batch.view is None else batch.view.repeat_interleave(num_classes)
    keys = Key(key.state.repeat_interleave(num_classes))
    rows = x.repeat_interleave(num_classes, dim=0)  # (B Y, C, H, W)
    return torch.unflatten(network.log_prob(rows, Condition(label, view), keys, ALL_VISIBLE), 0, (len(x), num_classes))


def _images(network: PixelCNN, batch: Batch) -> Tensor:
    return to_x(batch.pixels, network.config.image_shape.levels, next(network.parameters()).dtype)


def make_objective(config: TrainingConfig, prior: Sequence[float]) -> Objective:
    """The objective of a config.

    Args:
        config: The settings.
        prior: p(c), Y numbers.
    """
    if not config.classification_weight:
        return likelihood_loss
    return HybridLoss(config.classification_weight, config.classification_temperature, torch.tensor(prior).log())


def phases(objective: Objective) -> tuple[Objective, Objective]:
    """The objective of the epochs before `classification_start`, and the objective of the epochs from then on."""
    return (objective.likelihood_only, objective) if isinstance(objective, HybridLoss) else (objective, objective)


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

    def likelihood_only(self, network: PixelCNN, batch: Batch, key: Key) -> Tensor:
        """`likelihood_loss`, on the clean images if there are any."""
        clean = batch if batch.clean is None else batch.clean
        # T contributes 0, because data-parallel training needs a gradient for every parameter
        return likelihood_loss(network, clean, key) + 0 * self.log_temperature

    def forward(self, network: PixelCNN, batch: Batch, key: Key) -> Tensor:
        """The loss and the bits per dimension, (2,); arguments as in `likelihood_loss`."""
        log_prob = class_log_prob(network, batch, len(self.log_prior), key)  # (B, Y)
        labelled = batch.label != NO_LABEL
        label = batch.label.clamp(min=0)
        own = log_prob.gather(1, label[:, None]).squeeze(1)
        if batch.clean is not None:
            own = label_log_prob(network, batch.clean, key, ALL_VISIBLE)
        own = torch.where(labelled, own, (log_prob + self.log_prior).logsumexp(dim=1))
        bits = bits_per_dim(-own, network.config.image_shape.dims).mean()
        logits = log_prob / self.log_temperature.exp() + self.log_prior
        classification = torch.where(labelled, cross_entropy(logits, label, reduction="none"), 0.0).mean()
        return torch.stack((bits + self.weight * classification, bits))
