"""Which pixels decided between two classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.images.pixels import to_x
from pixelbayes.models.pixelcnn import PixelCNN


@torch.no_grad()
def log_likelihood_ratio(network: PixelCNN, x: Tensor, label: Tensor, other: Tensor) -> Tensor:
    """log p(x_i | x_<i, label) - log p(x_i | x_<i, other) of every pixel i, in nats.

    The sum over pixels is log p(x | label) - log p(x | other), no more and no less: the chain rule shares it out. A
    pixel's part is what it adds to what the pixels before it had already told, so that of two that tell the same the
    earlier gets all of it.

    Args:
        network: The network.
        x: Images, (B, C, H, W), on their levels in [-1, 1].
        label: int64 (B,).
        other: int64 (B,).

    Returns:
        float64 (B, H, W).
    """
    return network.pixel_log_prob(x, label).double() - network.pixel_log_prob(x, other).double()


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why one class rather than another, pixel by pixel.

    Args:
        pixels: The image, uint8 (C, H, W).
        ratio: `log_likelihood_ratio`, float64 (H, W), in nats: above 0 what speaks for `label`.
        label: The class explained.
        other: The class it is set against.
        probabilities: p(label | x) and p(other | x), among all classes.
    """

    pixels: Tensor
    ratio: Tensor
    label: int
    other: int
    probabilities: tuple[float, float]

    @property
    def nats(self) -> float:
        """log p(x | label) - log p(x | other)."""
        return float(self.ratio.sum())


def rivals(log_posterior: Tensor, labels: Tensor | None = None) -> list[tuple[int, int]]:
    """For each image the class predicted, and the class to set it against: the right one if it is wrong, else the next.

    Args:
        log_posterior: log p(c | x), (N, Y), Y at least 2.
        labels: int64 (N,), -1 where unknown; None if all are.
    """
    first, second = log_posterior.topk(2, dim=1).indices.T
    if labels is not None:
        second = torch.where((labels >= 0) & (labels != first), labels, second)
    return list(zip(first.tolist(), second.tolist(), strict=True))


def explain(
    checkpoint: Checkpoint,
    pixels: Tensor,
    log_posterior: Tensor,
    classes: Sequence[tuple[int, int]],
    *,
    batch_size: int = 16,
) -> list[Explanation]:
    """Explains images, two passes through the network for each.

    Args:
        checkpoint: The network, on the device to use.
        pixels: uint8 (N, C, H, W), on the network's own levels and size.
        log_posterior: log p(c | x), (N, Y), as measured.
        classes: For each image the class to explain and the one to set it against; see `rivals`.
        batch_size: Images at a time.

    Raises:
        ValueError: If there are not as many pairs of classes, or posteriors, as images.
    """
    if not len(pixels) == len(log_posterior) == len(classes):
        raise ValueError(
            f"{len(pixels)} images, {len(log_posterior)} posteriors and {len(classes)} pairs of classes, "
            "expected as many of each"
        )
    device = next(checkpoint.network.parameters()).device
    labels = torch.tensor(classes).reshape(-1, 2)
    parts = [
        log_likelihood_ratio(
            checkpoint.network, to_x(images.to(device), checkpoint.network.config.levels), *pairs.to(device).unbind(1)
        ).cpu()
        for images, pairs in zip(pixels.split(batch_size), labels.split(batch_size), strict=True)
    ]
    ratios = [ratio for part in parts for ratio in part]
    p = log_posterior.double().exp().gather(1, labels).tolist()
    return [
        Explanation(image, ratio, label, other, (first, second))
        for image, ratio, (label, other), (first, second) in zip(pixels, ratios, classes, p, strict=True)
    ]
