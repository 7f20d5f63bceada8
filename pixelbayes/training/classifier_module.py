"""Lightning module of a dedicated classifier."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.checkpoints.trained import Classifier, TrainedClassifier
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.models.pretrained import TimmNetwork
from pixelbayes.training.config import ClassifierTrainingConfig
from pixelbayes.training.module import NetworkModule, class_prior


class ClassifierModule(NetworkModule[Classifier, ClassifierTrainingConfig]):
    """Trains or fine-tunes a network as a classifier, by cross-entropy with label smoothing.

    Cross-entropy is in nats. In training it is that of augmented images and smoothed targets, in validation that of
    unchanged images and labels. Images without a label are ignored.
    """

    metric = "cross_entropy"
    command = "baseline"

    def loss(self, index: Tensor) -> Tensor:
        batch = self.training_batch(index)
        losses = cross_entropy(
            _at_least_float32(self.network(self.to_x(batch.pixels))),
            batch.label,
            ignore_index=NO_LABEL,
            label_smoothing=self.config.label_smoothing,
            reduction="none",
        )
        labelled = (batch.label != NO_LABEL).sum()
        return losses.sum() / labelled.clamp(min=1)  # 0, not NaN, for a batch without labels

    def validation_step(self, index: Tensor, _: int) -> None:
        label = self.validation_labels[index]
        labelled = label != NO_LABEL
        logits = _at_least_float32(self.average(self.to_x(self.validation_pixels[index])))[labelled]
        self.validation_metric.update(cross_entropy(logits, label[labelled], reduction="none"))
        self.validation_accuracy.update((logits.argmax(dim=1) == label[labelled]).double())

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The last layer of a pre-trained network learns faster, because the others have only to adapt.

        Howard and Ruder (2018), Universal language model fine-tuning, section 3.2: discriminative fine-tuning.
        """
        if not isinstance(self.network, TimmNetwork):
            return super().parameter_groups()
        last = {weight for layer in self.network.last_layers for weight in layer.parameters()}
        weights = list(self.network.parameters())
        old = [weight for weight in weights if weight not in last]
        new = [weight for weight in weights if weight in last]  # in order, by which a resumed optimizer finds its state
        return [{"params": old, "lr": self.config.pretrained_learning_rate}, {"params": new}]

    def as_trained(self, provenance: Provenance) -> TrainedClassifier:
        return TrainedClassifier(
            network=self.average,
            class_names=self.data.class_names,
            preprocessing=self.data.preprocessing,
            prior=class_prior(self.data, "train"),
            provenance=provenance,
        )


def _at_least_float32(logits: Tensor) -> Tensor:
    """Converts half precision to float32, because a softmax in bf16 has only two decimals."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
