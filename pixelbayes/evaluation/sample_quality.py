"""How good samples are: near the distribution of real images, of the class asked for, and new."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from pixelbayes.checkpoints.checkpoint import BaselineCheckpoint
from pixelbayes.data import Split
from pixelbayes.evaluation.memorization import Memorising, check_memorising
from pixelbayes.features.base import Extractor
from pixelbayes.features.classifier import DomainFeatures, ReadAsAsked
from pixelbayes.metrics.fid import Moments, frechet_distance
from pixelbayes.metrics.kid import kernel_distance
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import Tracker, no_progress


@dataclass(frozen=True)
class Distance:
    """FID and KID between the features of samples and of real images; 0 is best for each.

    FID is too high by an amount that grows as either number of images falls: compare figures of equal `n` and
    `n_reference` only. KID has no such bias, and may be below 0 by chance.
    """

    n: int  # samples
    n_reference: int  # real images
    fid: float | None = None
    kid: float | None = None
    kid_deviation: float | None = None  # over subsets
    reason: str | None = None  # why there is none

    @classmethod
    def of(cls, samples: Tensor, reference: Tensor, seed: int = 0) -> "Distance":
        """Compares features (n, D) with features (m, D); where that cannot be, the reason stands in their place."""
        n, n_reference = len(samples), len(reference)
        try:
            fid = frechet_distance(Moments.of(samples), Moments.of(reference))
            kid = kernel_distance(samples, reference, seed=seed)
        except InputError as error:
            return cls(n, n_reference, reason=str(error))
        return cls(n, n_reference, fid, kid.mean, kid.deviation)


def class_distances(
    samples: Tensor, reference: Tensor, labels: Tensor, class_names: Sequence[str], seed: int = 0
) -> dict[str, Distance]:
    """The distance of each class: features (Y, n, D) of samples to those of the reference, (N, D), with its label.

    Args:
        labels: int64 (N,), of the reference; -1 where unknown.
        class_names: The classes wanted, in label order.
    """
    return {
        name: Distance.of(samples[label], reference[labels == label], seed) for label, name in enumerate(class_names)
    }


@dataclass(frozen=True, eq=False)
class SampleQuality:
    """All figures of a set of samples.

    Args:
        extractor: Name of the features.
        reference: Name of the split of real images.
        image_size: H, W of the samples.
        levels: Number of values a colour can take.
        overall: All samples against all of the reference.
        per_class: Of each class; empty where no class is known.
        read_as_asked: None without a dedicated classifier, or where no class is known.
        memorising: None without training images; its samples are numbered class by class.
    """

    extractor: str
    reference: str
    image_size: tuple[int, int]
    levels: int
    overall: Distance
    per_class: dict[str, Distance]
    read_as_asked: ReadAsAsked | None = None
    memorising: Memorising | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        spaces = self.memorising.spaces if self.memorising else None
        return {
            "extractor": self.extractor,
            "reference": self.reference,
            "image_size": list(self.image_size),
            "levels": self.levels,
            **asdict(self.overall),
            "per_class": {name: asdict(distance) for name, distance in self.per_class.items()},
            "read_as_asked": asdict(self.read_as_asked) if self.read_as_asked else None,
            "memorising": spaces and {space: asdict(found) for space, found in spaces.items()},
            "copies": self.memorising.copies if self.memorising else None,
        }


def measure_quality(
    samples: Tensor,
    levels: int,
    class_names: Sequence[str] | None,
    *,
    reference: Split,
    reference_name: str,
    extractor: Extractor,
    classifier: BaselineCheckpoint | None = None,
    train: Split | None = None,
    held_out: Split | None = None,
    seed: int = 0,
    track: Tracker = no_progress,
) -> SampleQuality:
    """Compares samples with real images, overall and class by class.

    Args:
        samples: uint8 (Y, n, C, H, W), 0 .. levels-1; (1, n, C, H, W) where no class is known.
        levels: Number of values a colour can take, in samples and splits alike.
        class_names: Y names in the order of the samples and of the reference's labels; None where no class is known.
        reference: Real images, of any size that the extractor takes; a class with fewer than two labelled ones has no
            figure of its own.
        reference_name: What the reference is called.
        extractor: What turns images into features.
        classifier: A dedicated classifier, to read the samples and to look for neighbours by its features too.
        train: The images the network was trained on, to look for copies.
        held_out: Images it was not trained on, for comparison.
        seed: Of the subsets that KID is taken over.
        track: Wraps each loop over batches, to show progress.

    Raises:
        InputError: If samples and training images are of different shapes, a split is empty, or extractor or classifier
            cannot take the images.
        ValueError: If samples and class names do not fit.
    """
    if samples.ndim != 5 or len(samples) != (1 if class_names is None else len(class_names)):
        raise ValueError(
            f"samples have shape {tuple(samples.shape)} for classes {class_names}, expected (Y, n, C, H, W)"
        )
    flat = samples.flatten(0, 1)  # (Y n, C, H, W)
    for name, split in ((reference_name, reference), ("training", train), ("held-out", held_out)):
        if split is not None and not len(split):
            raise InputError(f"the {name} split holds no image; name another")
    for name, split in (("training", train), ("held-out", held_out)):
        if split is not None and split.pixels.shape[1:] != flat.shape[1:]:
            given, expected = tuple(flat.shape[1:]), tuple(split.pixels.shape[1:])
            raise InputError(f"samples have shape {given}, the {name} images {expected}; compare those of one network")
    drawn = extractor(flat, levels, track).unflatten(0, samples.shape[:2])  # (Y, n, D)
    real = extractor(reference.pixels, levels, track)  # (N, D)
    return SampleQuality(
        extractor=extractor.name,
        reference=reference_name,
        image_size=(samples.shape[3], samples.shape[4]),
        levels=levels,
        overall=Distance.of(drawn.flatten(0, 1), real, seed),
        per_class=class_distances(drawn, real, reference.labels, class_names or (), seed),
        read_as_asked=ReadAsAsked.of(classifier, samples, levels, class_names, track)
        if classifier is not None and class_names is not None
        else None,
        memorising=None
        if train is None
        else check_memorising(
            flat,
            train.pixels,
            None if held_out is None else held_out.pixels,
            levels,
            extractor=None if classifier is None else DomainFeatures(classifier),
            track=track,
        ),
    )
