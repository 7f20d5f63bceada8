"""Sample quality: the distance to the distribution of real images, class agreement, and memorization."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.data import Split
from pixelbayes.evaluation.memorization import Memorization, measure_memorization
from pixelbayes.features.base import Extractor
from pixelbayes.features.classifier import ClassifierFeatures, ConditionalAccuracy
from pixelbayes.metrics.fid import Moments, frechet_distance
from pixelbayes.metrics.kid import kernel_distance
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import Tracker, no_progress


@dataclass(frozen=True)
class Distance:
    """FID and KID between the features of samples and of real images. 0 is best for both.

    FID has a positive bias that grows as the numbers of images fall, so values are comparable only for equal `n` and
    `n_reference`. KID is unbiased, and may be negative by chance.

    Args:
        n: Number of samples.
        n_reference: Number of real images.
        fid: FID; None if it cannot be computed.
        kid: Mean of KID over subsets; None likewise.
        kid_deviation: Standard deviation of KID over subsets; None if there is only one subset.
        reason: Why the distances cannot be computed.
    """

    n: int
    n_reference: int
    fid: float | None = None
    kid: float | None = None
    kid_deviation: float | None = None
    reason: str | None = None

    @classmethod
    def of(cls, samples: Tensor, reference: Tensor, seed: int = 0) -> "Distance":
        """Compares features of samples, (n, D), with those of real images, (m, D)."""
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
    """The distance of each class.

    Args:
        samples: Features of samples, (Y, n, D).
        reference: Features of real images, (N, D).
        labels: Labels of the real images, int64 (N,); -1 where unknown.
        class_names: Y names, or none.
        seed: Random seed of the subsets of KID.
    """
    return {
        name: Distance.of(samples[label], reference[labels == label], seed) for label, name in enumerate(class_names)
    }


@dataclass(frozen=True, eq=False)
class SampleQuality:
    """The quality of a set of samples.

    Args:
        extractor: Name of the feature extractor.
        reference: Name of the set of real images.
        image_size: H, W of the samples.
        levels: Number of values a colour can take.
        overall: Distance of all samples.
        per_class: Distance of each class; empty if the classes are not known.
        class_agreement: How often a dedicated classifier predicts the class that a sample was drawn from; None without
            a classifier, or if the classes are not known.
        memorization: Nearest training images of the samples, class by class; None without training images.
    """

    extractor: str
    reference: str
    image_size: tuple[int, int]
    levels: int
    overall: Distance
    per_class: dict[str, Distance]
    class_agreement: ConditionalAccuracy | None = None
    memorization: Memorization | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        spaces = self.memorization.spaces if self.memorization else None
        return {
            "extractor": self.extractor,
            "reference": self.reference,
            "image_size": list(self.image_size),
            "levels": self.levels,
            **asdict(self.overall),
            "per_class": {name: asdict(distance) for name, distance in self.per_class.items()},
            "class_agreement": asdict(self.class_agreement) if self.class_agreement else None,
            "memorization": spaces and {space: asdict(distances) for space, distances in spaces.items()},
            "copies": self.memorization.copies if self.memorization else None,
        }


def measure_quality(
    samples: Tensor,
    levels: int,
    class_names: Sequence[str] | None,
    *,
    reference: Split,
    reference_name: str,
    extractor: Extractor,
    classifier: TrainedClassifier | None = None,
    train: Split | None = None,
    held_out: Split | None = None,
    seed: int = 0,
    track: Tracker = no_progress,
) -> SampleQuality:
    """Compares samples with real images, overall and per class.

    Args:
        samples: uint8 (Y, n, C, H, W), 0 .. levels-1; (1, n, C, H, W) if the classes are not known.
        levels: Number of values a colour can take, in samples and splits.
        class_names: Y names in the order of the samples and of the labels; None if the classes are not known.
        reference: Real images, of any size that the extractor accepts. The distance of a class needs two images with
            its label.
        reference_name: Name of the real images.
        extractor: Computes the features.
        classifier: A dedicated classifier, which predicts the classes of the samples. Its features are a second space
            in which memorization is measured.
        train: The images that the network was trained on; None does not measure memorization.
        held_out: Images that it was not trained on, for comparison.
        seed: Random seed of the subsets of KID.
        track: Wraps each loop over batches, to show progress.

    Raises:
        InputError: If samples and training images have different shapes, a split is empty, or the extractor or the
            classifier does not accept the images.
        ValueError: If the number of class names does not match the samples.
    """
    if samples.ndim != 5 or len(samples) != (1 if class_names is None else len(class_names)):
        raise ValueError(
            f"samples have shape {tuple(samples.shape)} for classes {class_names}, expected (Y, n, C, H, W)"
        )
    flat = samples.flatten(0, 1)  # (Y n, C, H, W)
    if len(reference) == 0:
        raise InputError(f"the {reference_name} split holds no image; name another")
    for name, split in (("training", train), ("held-out", held_out)):
        if split is not None:
            _check_split(flat, name, split)
    drawn = extractor(flat, levels, track).unflatten(0, samples.shape[:2])  # (Y, n, D)
    real = extractor(reference.pixels, levels, track)  # (N, D)
    agreement = memorization = None
    if classifier is not None and class_names is not None:
        agreement = ConditionalAccuracy.of(classifier, samples, levels, class_names, track)
    if train is not None:
        memorization = measure_memorization(
            flat,
            train.pixels,
            None if held_out is None else held_out.pixels,
            levels,
            extractor=None if classifier is None else ClassifierFeatures(classifier),
            track=track,
        )
    return SampleQuality(
        extractor=extractor.name,
        reference=reference_name,
        image_size=(samples.shape[3], samples.shape[4]),
        levels=levels,
        overall=Distance.of(drawn.flatten(0, 1), real, seed),
        per_class=class_distances(drawn, real, reference.labels, class_names or (), seed),
        class_agreement=agreement,
        memorization=memorization,
    )


def _check_split(samples: Tensor, name: str, split: Split) -> None:
    """Checks that a split has images with the shape of the samples."""
    if len(split) == 0:
        raise InputError(f"the {name} split holds no image; name another")
    shape, expected = tuple(samples.shape[1:]), tuple(split.pixels.shape[1:])
    if shape != expected:
        raise InputError(f"samples have shape {shape}, the {name} images {expected}; use those of one network")
