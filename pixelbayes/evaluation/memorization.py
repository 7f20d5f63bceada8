"""Whether samples are new, or training images remembered."""

from dataclasses import dataclass, field

from torch import Tensor

from pixelbayes.features.base import Extractor
from pixelbayes.metrics.nearest import Neighbours, nearest
from pixelbayes.utils.progress import Tracker, no_progress

TAIL = 0.05  # share of held-out images that lie nearer to training than the threshold


@dataclass(frozen=True)
class Nearness:
    """How near samples come to training images, beside how near other images of the same kind come.

    Distances are root mean squares over dimensions.
    """

    median: float  # distance of a sample to its nearest training image
    held_out_median: float | None  # distance of a held-out image; None without such images
    threshold: float | None  # the quantile `TAIL` of those distances
    share_below: float | None  # of samples that are nearer than the threshold

    @classmethod
    def of(cls, samples: Tensor, held_out: Tensor | None = None) -> "Nearness":
        """Compares the distances of samples (N,) and of held-out images (M,) to their nearest training images.

        >>> import torch
        >>> Nearness.of(torch.tensor([0.1, 0.5, 0.6, 0.7]), torch.linspace(0.4, 1.4, 101)).share_below
        0.25
        """
        median = float(samples.quantile(0.5))
        if held_out is None:
            return cls(median, None, None, None)
        threshold = held_out.quantile(TAIL)
        below = (samples < threshold).double().mean()
        return cls(median, float(held_out.quantile(0.5)), float(threshold), float(below))


@dataclass(frozen=True, eq=False)
class Memorising:
    """The training images that samples come nearest to.

    A network that has learnt the distribution draws samples no nearer than held-out images are: a share of about `TAIL`
    below the threshold. One that remembers has more there.

    Args:
        spaces: By space: "pixels", images in [-1, 1]; and "features", in which a copy moved by a pixel is still near.
        copies: Samples that are a training image to the last level.
        neighbours: The nearest training image, in pixels, of each sample.
    """

    spaces: dict[str, Nearness]
    copies: int
    neighbours: Neighbours = field(repr=False)


def check_memorising(
    samples: Tensor,
    train: Tensor,
    held_out: Tensor | None,
    levels: int,
    *,
    extractor: Extractor | None = None,
    track: Tracker = no_progress,
) -> Memorising:
    """Compares samples with the images that the network was trained on.

    Args:
        samples, train, held_out: uint8 (N, C, H, W), (M, C, H, W) and (L, C, H, W), 0 .. levels-1.
        levels: Number of values a colour can take.
        extractor: Of the second space; None for pixels alone.
        track: Wraps the loops over batches of the extractor, to show progress.
    """
    scale = 2 / (levels - 1)
    neighbours = nearest(samples, train, scale=scale)
    others = None if held_out is None else nearest(held_out, train, scale=scale).distance
    spaces = {"pixels": Nearness.of(neighbours.distance, others)}
    if extractor is not None:
        known = extractor(train, levels, track)
        near = nearest(extractor(samples, levels, track), known).distance
        others = None if held_out is None else nearest(extractor(held_out, levels, track), known).distance
        spaces["features"] = Nearness.of(near, others)
    return Memorising(spaces, int((neighbours.distance == 0).sum()), neighbours)
