"""What a network is worth on a split: one pass over its images, everything else follows."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pixelbayes.checkpoint import Checkpoint
from pixelbayes.data import Split
from pixelbayes.errors import InputError
from pixelbayes.evaluation.classification import Classification
from pixelbayes.fusion import NO_LABEL
from pixelbayes.inference import BayesClassifier, score
from pixelbayes.likelihood import bits_per_dim
from pixelbayes.progress import Tracker, no_progress


@dataclass(frozen=True, eq=False)
class Measurement:
    """Log-probabilities of a split's images and the figures that follow from them.

    Args:
        split: The images.
        log_prob: log p(x | c), float64 (N, Y), in nats.
        posterior: p(c | x), float64 (N, Y).
        bits_per_dim: Mean over images of -log2 p(x | label) / (C H W), with p(x) where the label is not known.
        classification: None where no image is labelled, or there is one class alone.
    """

    split: Split
    log_prob: Tensor
    posterior: Tensor
    bits_per_dim: float
    classification: Classification | None

    @property
    def predicted(self) -> Tensor:
        """argmax over c of p(c | x), int64 (N,)."""
        return self.posterior.argmax(dim=1)

    @property
    def density(self) -> str:
        """What `bits_per_dim` is of: p(x | label), p(x), or both where some labels are unknown."""
        known = self.split.labels != NO_LABEL
        return "p(x | label)" if known.all() else "p(x | label), p(x) where unknown" if known.any() else "p(x)"

    def figures(self) -> dict[str, Any]:
        """Plain values for JSON; accuracy and macro F1 are None where labels are unknown."""
        found = self.classification.as_dict() if self.classification else {"accuracy": None, "macro_f1": None}
        return {
            **found,
            "bits_per_dim": self.bits_per_dim,
            "bits_per_dim_of": self.density,
            "n": len(self.split),
        }


def measure(
    checkpoint: Checkpoint,
    split: Split,
    *,
    batch_size: int = 64,
    track: Tracker = no_progress,
) -> Measurement:
    """Scores every image of a split under every class.

    Args:
        checkpoint: The network, on the device to use.
        split: Images on the network's own levels and size.
        batch_size: Images at a time.
        track: Wraps the loop over batches, to show progress.

    Raises:
        InputError: If the images are not of the network's channels and size, or a label is beyond its classes.
    """
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
    classifier = BayesClassifier(checkpoint.network, checkpoint.log_prior)
    device = next(checkpoint.network.parameters()).device
    log_prob = score(classifier, split.pixels, config.levels, batch_size=batch_size, device=device, track=track)
    posterior = classifier.posterior(log_prob)

    return Measurement(
        split=split,
        log_prob=log_prob,
        posterior=posterior,
        bits_per_dim=float(bits_per_dim(-classifier.log_prob_of(log_prob, split.labels), config.dims).mean()),
        classification=Classification.of(posterior.argmax(dim=1), split.labels, checkpoint.class_names)
        if (split.labels != NO_LABEL).any() and len(checkpoint.class_names) > 1
        else None,
    )
