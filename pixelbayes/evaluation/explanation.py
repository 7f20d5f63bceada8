"""The contribution of every pixel to the choice between two classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.checkpoints.trained import Classifier, TrainedClassifier, TrainedPixelCNN
from pixelbayes.data import UNKNOWN_LABEL
from pixelbayes.images.pixels import to_x
from pixelbayes.models.pixelcnn import PixelCNN


@torch.no_grad()
def log_likelihood_ratio(network: PixelCNN, x: Tensor, label: Tensor, other: Tensor) -> Tensor:
    """log p(x_i | x_<i, label) - log p(x_i | x_<i, other) of every pixel i, in nats.

    By the chain rule, the sum over the pixels is log p(x | label) - log p(x | other). The value of a pixel is the
    evidence that it adds to that of the pixels before it. If two pixels carry the same information, the first one has
    the whole value.

    Args:
        network: The network.
        x: Images, (B, C, H, W), on their levels in [-1, 1].
        label: int64 (B,).
        other: int64 (B,).

    Returns:
        float64 (B, H, W).
    """
    return network.pixel_log_prob(x, label).double() - network.pixel_log_prob(x, other).double()


@torch.no_grad()
def occlusion_ratio(network: Classifier, x: Tensor, label: Tensor, other: Tensor, *, patch: int = 4) -> Tensor:
    """By how much each pixel raises log p(label | x) - log p(other | x) of a dedicated classifier, in nats.

    Occlusion: Zeiler and Fergus (2014), Visualizing and understanding convolutional networks,
    https://arxiv.org/abs/1311.2901, section 2.2. A patch is replaced by the mean colour of the image. The value of a
    pixel is the mean, over all patches that contain it, of what the patch contributes, divided by the pixels of the
    patch.

    Args:
        network: The classifier.
        x: Images, (B, C, H, W), on their levels in [-1, 1].
        label: int64 (B,).
        other: int64 (B,).
        patch: Height and width of a patch, in pixels; at most those of an image are used.

    Returns:
        float64 (B, H, W).
    """
    height, width = x.shape[-2:]
    patch = min(patch, height, width)

    def ratio(images: Tensor) -> Tensor:
        logits: Tensor = network(images).double()
        return (logits.gather(1, label[:, None]) - logits.gather(1, other[:, None]))[:, 0]

    whole, mean = ratio(x), x.mean(dim=(2, 3), keepdim=True)
    total = x.new_zeros(len(x), height, width, dtype=torch.float64)
    covered = x.new_zeros(height, width, dtype=torch.float64)
    for top in range(height - patch + 1):
        for left in range(width - patch + 1):
            rows, columns = slice(top, top + patch), slice(left, left + patch)
            occluded = x.clone()
            occluded[..., rows, columns] = mean
            total[:, rows, columns] += (whole - ratio(occluded))[:, None, None] / patch**2
            covered[rows, columns] += 1
    return total / covered


@dataclass(frozen=True, eq=False)
class Explanation:
    """The evidence for one class against another, pixel by pixel.

    Args:
        pixels: The image, uint8 (C, H, W).
        ratio: `log_likelihood_ratio`, or `occlusion_ratio` for a dedicated classifier, float64 (H, W), in nats; a
            positive value is evidence for `label`.
        label: The class that is explained.
        other: The class that it is contrasted with.
        probabilities: p(label | x) and p(other | x), among all classes.
    """

    pixels: Tensor
    ratio: Tensor
    label: int
    other: int
    probabilities: tuple[float, float]

    @property
    def nats(self) -> float:
        """The sum over the pixels: log p(x | label) - log p(x | other) of a density; for a classifier not exactly."""
        return float(self.ratio.sum())


def contrast_classes(log_posterior: Tensor, labels: Tensor | None = None) -> list[tuple[int, int]]:
    """The two classes to compare for each image: the predicted one, and the one to contrast it with.

    A wrong prediction is contrasted with the true class, any other prediction with the second most probable class.

    Args:
        log_posterior: log p(c | x), (N, Y), Y at least 2.
        labels: int64 (N,), -1 where unknown; None if all are unknown.
    """
    first, second = log_posterior.topk(2, dim=1).indices.T
    if labels is not None:
        second = torch.where((labels != UNKNOWN_LABEL) & (labels != first), labels, second)
    return list(zip(first.tolist(), second.tolist(), strict=True))


def explain(
    trained: TrainedPixelCNN | TrainedClassifier,
    pixels: Tensor,
    log_posterior: Tensor,
    classes: Sequence[tuple[int, int]],
    *,
    batch_size: int = 16,
) -> list[Explanation]:
    """Explains images: by two passes through a density for each, or by a pass through a classifier for each patch.

    Args:
        trained: The network, on the device to use.
        pixels: uint8 (N, C, H, W), with the shape and the levels that the network takes.
        log_posterior: log p(c | x), (N, Y), as measured.
        classes: For each image the class to explain and the one to contrast it with; see `contrast_classes`.
        batch_size: Images at a time.

    Raises:
        ValueError: If the numbers of images, posteriors and pairs of classes differ.
    """
    if not len(pixels) == len(log_posterior) == len(classes):
        raise ValueError(
            f"{len(pixels)} images, {len(log_posterior)} posteriors and {len(classes)} pairs of classes, "
            "expected as many of each"
        )
    levels, device = trained.image_shape.levels, trained.device
    pairs = torch.tensor(classes).reshape(-1, 2)

    def ratios_of(x: Tensor, label: Tensor, other: Tensor) -> Tensor:
        if isinstance(trained, TrainedPixelCNN):
            return log_likelihood_ratio(trained.network, x, label, other)
        return occlusion_ratio(trained.network, x, label, other)

    ratios = [
        ratio
        for images, labels in zip(pixels.split(batch_size), pairs.split(batch_size), strict=True)
        for ratio in ratios_of(to_x(images.to(device), levels), *labels.to(device).unbind(1)).cpu()
    ]
    probabilities = log_posterior.double().exp().gather(1, pairs).tolist()
    return [
        Explanation(image, ratio, label, other, (p, q))
        for image, ratio, (label, other), (p, q) in zip(pixels, ratios, classes, probabilities, strict=True)
    ]
