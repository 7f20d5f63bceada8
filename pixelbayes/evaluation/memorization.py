"""Memorization: whether samples are copies of training images."""

from dataclasses import dataclass, field

from torch import Tensor

from pixelbayes.features.base import Extractor
from pixelbayes.metrics.nearest import Neighbours, nearest
from pixelbayes.utils.progress import Tracker, no_progress

THRESHOLD_QUANTILE = 0.05  # share of held-out images that are nearer to a training image than the threshold


@dataclass(frozen=True)
class NearestDistances:
    """Distances of samples to their nearest training image, compared with those of held-out images.

    A distance is the root mean square difference over dimensions.

    Args:
        median: Median distance of the samples.
        held_out_median: Median distance of the held-out images; None without such images.
        threshold: The quantile `THRESHOLD_QUANTILE` of the distances of held-out images; None likewise.
        share_below: Share of the samples that are nearer than the threshold; None likewise.
    """

    median: float
    held_out_median: float | None = None
    threshold: float | None = None
    share_below: float | None = None

    @classmethod
    def of(cls, samples: Tensor, held_out: Tensor | None = None) -> "NearestDistances":
        """Summarises the distances of samples, (N,), and of held-out images, (M,), to their nearest training image.

        >>> import torch
        >>> NearestDistances.of(torch.tensor([0.1, 0.5, 0.6, 0.7]), torch.linspace(0.4, 1.4, 101)).share_below
        0.25
        """
        median = float(samples.quantile(0.5))
        if held_out is None:
            return cls(median)
        threshold = held_out.quantile(THRESHOLD_QUANTILE)
        below = (samples < threshold).double().mean()
        return cls(median, float(held_out.quantile(0.5)), float(threshold), float(below))


@dataclass(frozen=True, eq=False)
class Memorization:
    """The nearest training image of every sample.

    Samples of a network that has learned the distribution are as far from the training images as held-out images are,
    so about `THRESHOLD_QUANTILE` of them are below the threshold. Memorization makes this share larger.

    Args:
        spaces: Distances in each space: "pixels", images in [-1, 1]; and "features", in which a copy that is shifted by
            a pixel is still near.
        copies: Number of samples that equal a training image in every level.
        neighbours: The nearest training image of each sample, in pixels.
    """

    spaces: dict[str, NearestDistances]
    copies: int
    neighbours: Neighbours = field(repr=False)


def measure_memorization(
    samples: Tensor,
    train: Tensor,
    held_out: Tensor | None,
    levels: int,
    *,
    extractor: Extractor | None = None,
    track: Tracker = no_progress,
) -> Memorization:
    """Finds the nearest training image of every sample and of every held-out image.

    Args:
        samples: uint8 (N, C, H, W), 0 .. levels-1.
        train: The images that the network was trained on, uint8 (M, C, H, W).
        held_out: Images that it was not trained on, uint8 (L, C, H, W).
        levels: Number of values a colour can take.
        extractor: Computes the features; None compares pixels only.
        track: Wraps the loops over batches of the extractor, to show progress.
    """
    scale = 2 / (levels - 1)
    neighbours = nearest(samples, train, scale=scale)
    others = None if held_out is None else nearest(held_out, train, scale=scale).distance
    spaces = {"pixels": NearestDistances.of(neighbours.distance, others)}
    if extractor is not None:
        references = extractor(train, levels, track)  # (M, D)
        distance = nearest(extractor(samples, levels, track), references).distance
        others = None if held_out is None else nearest(extractor(held_out, levels, track), references).distance
        spaces["features"] = NearestDistances.of(distance, others)
    return Memorization(spaces, int((neighbours.distance == 0).sum()), neighbours)
