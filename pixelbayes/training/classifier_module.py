"""A classifier in training: the images, the augmentation and the course of a generative run, another loss."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pixelbayes.checkpoints.checkpoint import BaselineCheckpoint
from pixelbayes.data import AugmentationConfig, ImageData
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.models.resnet import ResNet
from pixelbayes.training.module import NetworkModule, class_prior
from pixelbayes.training.optimization import ClassifierTrainingConfig


class ClassifierModule(NetworkModule):
    """Trains a residual network to name the class of an image.

    Cross-entropy is in nats: of the smoothed targets and augmented images in training, of the true ones in validation.
    Images without a label are passed over.
    """

    measure = "cross_entropy"
    command = "baseline"
    network: ResNet
    config: ClassifierTrainingConfig

    def __init__(
        self,
        network: ResNet,
        config: ClassifierTrainingConfig,
        data: ImageData,
        seed: int,
        augmentation: AugmentationConfig,
    ):
        super().__init__(network, config, data, seed, augmentation)

    @property
    def average(self) -> ResNet:
        network = self.averaged.module
        assert isinstance(network, ResNet)
        return network

    def loss(self, index: Tensor) -> Tensor:
        pixels, label, *_ = self.batch(index)
        logits = self.network(self.x(pixels))
        smoothing = self.config.label_smoothing
        return _mean_over_labelled(
            cross_entropy(_wide(logits), label, ignore_index=NO_LABEL, label_smoothing=smoothing, reduction="none"),
            label,
        )

    def validation_step(self, index: Tensor, _: int) -> None:
        label = self.validation_labels[index]
        labelled = label != NO_LABEL
        logits = _wide(self.average(self.x(self.validation_pixels[index])))[labelled]
        self.validation_measure.update(cross_entropy(logits, label[labelled], reduction="none"))
        self.validation_accuracy.update((logits.argmax(dim=1) == label[labelled]).double())

    def as_checkpoint(self, about: dict[str, Any]) -> BaselineCheckpoint:
        return BaselineCheckpoint(
            network=self.average,
            class_names=self.data.class_names,
            preprocessing=self.data.preprocessing,
            prior=class_prior(self.data, "train"),
            about=about,
        )


def _wide(logits: Tensor) -> Tensor:
    """float32 at least: a softmax in bfloat16 has two decimals."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _mean_over_labelled(losses: Tensor, label: Tensor) -> Tensor:
    """0, not NaN, where no image of a batch has a label."""
    return losses.sum() / (label != NO_LABEL).sum().clamp(min=1)
