"""Knowledge distillation: soft labels from dedicated classifiers."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.images.pixels import to_x
from pixelbayes.images.views import HFLIP, apply_view
from pixelbayes.models.fusion import NO_LABEL


class Teacher:
    """Turns labels into targets between the label and the prediction of one or several classifiers.

        target = (1 - w) one-hot(label) + w softmax(mean logits)

    Hinton et al. (2015), Distilling the knowledge in a neural network, https://arxiv.org/abs/1503.02531. The mean is
    over the classifiers; the logits of one that was trained on horizontal flips are the mean over the image and its
    flip. The target of an image without a label is the softmax alone.

    Args:
        classifiers: One or more, of the same classes and image shape.
        weight: w.
    """

    def __init__(self, classifiers: Sequence[TrainedClassifier], weight: float):
        self.classifiers = [(trained.network, _knows_flips(trained)) for trained in classifiers]
        self.num_classes = len(classifiers[0].class_names)
        self.levels = classifiers[0].image_shape.levels
        self.weight = weight

    def to(self, device: torch.device) -> None:
        """Moves the classifiers to a device."""
        for network, _ in self.classifiers:
            network.to(device)

    @torch.no_grad()
    def targets(self, pixels: Tensor, label: Tensor) -> Tensor:
        """Target probabilities, (B, Y), of images, uint8 levels (B, C, H, W), with labels int64 (B,)."""
        x = to_x(pixels, self.levels, torch.float32)
        flipped = apply_view(x, torch.full_like(label, HFLIP))
        logits = [
            (network(x) + network(flipped)) / 2 if knows_flips else network(x)
            for network, knows_flips in self.classifiers
        ]
        soft = torch.stack(logits).float().mean(dim=0).softmax(dim=1)
        labelled = (label != NO_LABEL)[:, None]
        hard = torch.where(labelled, one_hot(label.clamp(min=0), self.num_classes), soft)
        return torch.lerp(hard, soft, self.weight)


def _knows_flips(trained: TrainedClassifier) -> bool:
    """Whether a classifier was trained on horizontal flips; a mirrored digit, for example, is not a digit."""
    augmentation: dict[str, float] = trained.provenance.config.get("augmentation", {})
    return augmentation.get("flip", 0) > 0
