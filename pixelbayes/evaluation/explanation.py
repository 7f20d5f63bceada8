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

    whole, mean = logit_difference(network, x, label, other), x.mean(dim=(2, 3), keepdim=True)
    total = x.new_zeros(len(x), height, width, dtype=torch.float64)
    covered = x.new_zeros(height, width, dtype=torch.float64)
    for top in range(height - patch + 1):
        for left in range(width - patch + 1):
            rows, columns = slice(top, top + patch), slice(left, left + patch)
            occluded = x.clone()
            occluded[..., rows, columns] = mean
            contribution = whole - logit_difference(network, occluded, label, other)  # (B,)
            total[:, rows, columns] += contribution[:, None, None] / patch**2
            covered[rows, columns] += 1
    return total / covered


@torch.no_grad()
def logit_difference(network: Classifier, x: Tensor, label: Tensor, other: Tensor) -> Tensor:
    """log p(label | x) - log p(other | x) of a dedicated classifier, float64 (B,); arguments as `occlusion_ratio`."""
    logits: Tensor = network(x).double()
    return (logits.gather(1, label[:, None]) - logits.gather(1, other[:, None]))[:, 0]


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
        total: The whole evidence, if it is not the sum over the pixels: `logit_difference` for a dedicated classifier.
    """

    pixels: Tensor
    ratio: Tensor
    label: int
    other: int
    probabilities: tuple[float, float]
    total: float | None = None

    @property
    def nats(self) -> float:
        """log p(x | label) - log p(x | other) of a density, the difference of the logits of a dedicated classifier."""
        return float(self.ratio.sum()) if self.total is None else self.total


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
    dtype = next(trained.network.parameters()).dtype
    pairs = torch.tensor(classes).reshape(-1, 2)

    ratios: list[Tensor] = []
    totals: list[float | None] = []
    for images, labels in zip(pixels.split(batch_size), pairs.split(batch_size), strict=True):
        x, (label, other) = to_x(images.to(device), levels, dtype), labels.to(device).unbind(1)
        if isinstance(trained, TrainedPixelCNN):
            ratios += log_likelihood_ratio(trained.network, x, label, other).cpu()
            totals += [None] * len(x)
        else:
            ratios += occlusion_ratio(trained.network, x, label, other).cpu()
            totals += logit_difference(trained.network, x, label, other).tolist()
    probabilities = log_posterior.double().exp().gather(1, pairs).tolist()
    return [
        Explanation(image, ratio, *pair, (p, q), total)
        for image, ratio, pair, (p, q), total in zip(pixels, ratios, classes, probabilities, totals, strict=True)
    ]
