"""What a network is worth on a split: one pass over its images, everything else follows."""

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pixelbayes.checkpoint import BaselineCheckpoint, Checkpoint, Trained
from pixelbayes.data import Split
from pixelbayes.errors import InputError
from pixelbayes.evaluation.calibration import Calibration
from pixelbayes.evaluation.classification import Classification
from pixelbayes.fusion import NO_LABEL
from pixelbayes.inference import BayesClassifier, Scorer, score
from pixelbayes.likelihood import bits_per_dim
from pixelbayes.pixels import to_x
from pixelbayes.progress import Tracker, no_progress


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a network says of a split's images, and the figures that follow from it.

    Args:
        split: The images.
        log_posterior: log p(c | x), float64 (N, Y), in nats.
        classification: None where no image is labelled, or there is one class alone.
        calibration: None likewise.
        log_prob: log p(x | c), float64 (N, Y), in nats; None of a network that has no density.
        bits_per_dim: Mean over images of -log2 p(x | label) / (C H W), with p(x) where the label is not known; None
            likewise.
        images_per_second: How fast they were classified.
    """

    split: Split
    log_posterior: Tensor
    classification: Classification | None
    calibration: Calibration | None
    log_prob: Tensor | None = None
    bits_per_dim: float | None = None
    images_per_second: float | None = None

    @property
    def posterior(self) -> Tensor:
        """p(c | x), float64 (N, Y)."""
        return self.log_posterior.exp()

    @property
    def predicted(self) -> Tensor:
        """argmax over c of p(c | x), int64 (N,)."""
        return self.log_posterior.argmax(dim=1)

    @property
    def density(self) -> str | None:
        """What `bits_per_dim` is of: p(x | label), p(x), or both where some labels are unknown."""
        if self.bits_per_dim is None:
            return None
        known = self.split.labels != NO_LABEL
        return "p(x | label)" if known.all() else "p(x | label), p(x) where unknown" if known.any() else "p(x)"

    def figures(self) -> dict[str, Any]:
        """Plain values for JSON; accuracy, macro F1 and calibration are None where labels are unknown."""
        found = self.classification.as_dict() if self.classification else {"accuracy": None, "macro_f1": None}
        names = [field.name for field in dataclasses.fields(Calibration)]
        return {
            **found,
            **{name: getattr(self.calibration, name, None) for name in names},
            "bits_per_dim": self.bits_per_dim,
            "bits_per_dim_of": self.density,
            "images_per_second": self.images_per_second,
            "n": len(self.split),
        }


def measure(
    checkpoint: Checkpoint,
    split: Split,
    *,
    batch_size: int = 64,
    plain: bool = False,
    track: Tracker = no_progress,
) -> Measurement:
    """Scores every image of a split under every class, and times it.

    Args:
        checkpoint: The network, on the device to use.
        split: Images on the network's own levels and size.
        batch_size: Images at a time.
        plain: Use the network itself, a class after the other: the oracle of `Scorer`, and slower.
        track: Wraps the loop over batches, to show progress.

    Raises:
        InputError: If the images are not of the network's channels and size, or a label is beyond its classes.
    """
    check_fit(checkpoint, split)
    config = checkpoint.network.config
    device = next(checkpoint.network.parameters()).device
    rows = len(split) * len(checkpoint.class_names)
    density = checkpoint.network if plain else Scorer(checkpoint.network, rows=rows)
    classifier = BayesClassifier(density, checkpoint.log_prior)
    classifier.log_prob(to_x(split.pixels[:1].to(device), config.levels))  # the first pass is slower
    began = time.perf_counter()
    log_prob = score(classifier, split.pixels, config.levels, batch_size=batch_size, device=device, track=track)
    speed = len(split) / (time.perf_counter() - began)
    return _measured(
        checkpoint,
        split,
        classifier.log_posterior(log_prob),
        log_prob=log_prob,
        bits_per_dim=float(bits_per_dim(-classifier.log_prob_of(log_prob, split.labels), config.dims).mean()),
        images_per_second=speed,
    )


@torch.no_grad()
def measure_baseline(checkpoint: BaselineCheckpoint, split: Split, *, batch_size: int = 64) -> Measurement:
    """Classifies every image of a split, and times it; else as `measure`."""
    check_fit(checkpoint, split)
    network, levels = checkpoint.network, checkpoint.network.config.levels
    device = next(network.parameters()).device
    batches = split.pixels.split(batch_size)
    network(to_x(batches[0].to(device), levels))  # the first pass is slower
    began = time.perf_counter()
    logits = torch.cat([network(to_x(batch.to(device), levels)).double().cpu() for batch in batches])
    speed = len(split) / (time.perf_counter() - began)
    return _measured(checkpoint, split, logits.log_softmax(dim=1), images_per_second=speed)


def check_fit(checkpoint: Trained, split: Split) -> None:
    """Raises InputError if a network cannot take these images."""
    config = checkpoint.network.config
    expected = (config.channels, *config.image_size)
    if tuple(split.pixels.shape[1:]) != expected:
        raise InputError(f"images have shape {tuple(split.pixels.shape[1:])}, the network takes {expected}")
    if len(split) == 0:
        raise InputError("the split holds no image")
    if int(split.labels.max()) >= len(checkpoint.class_names):
        raise InputError(
            f"label {int(split.labels.max())} is beyond the network's {len(checkpoint.class_names)} classes"
        )


def _measured(checkpoint: Trained, split: Split, log_posterior: Tensor, **more: Any) -> Measurement:
    classified = (split.labels != NO_LABEL).any() and len(checkpoint.class_names) > 1
    return Measurement(
        split=split,
        log_posterior=log_posterior,
        classification=Classification.of(log_posterior.argmax(dim=1), split.labels, checkpoint.class_names)
        if classified
        else None,
        calibration=Calibration.of(log_posterior, split.labels) if classified else None,
        **more,
    )
