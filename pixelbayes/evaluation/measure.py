"""What a network is worth on a split: one pass over its images, everything else follows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelbayes.checkpoints.calibration_record import FittedTemperature
from pixelbayes.checkpoints.checkpoint import BaselineCheckpoint, Checkpoint, Trained
from pixelbayes.checkpoints.merging import check_alike
from pixelbayes.data import Split
from pixelbayes.images.pixels import to_x
from pixelbayes.images.views import COUNTS
from pixelbayes.inference import BayesClassifier, Combine, Ensemble, OneByOne, Scorer, Viewed, combined, deciding, score
from pixelbayes.inference.classifier import log_posterior
from pixelbayes.metrics.calibration import Calibration
from pixelbayes.metrics.classification import Classification
from pixelbayes.metrics.ood import fit_typical
from pixelbayes.metrics.selective import RiskCoverage
from pixelbayes.metrics.temperature_scaling import cross_fitted, fingerprint, fit_temperature
from pixelbayes.models.context_dropout import fixed_masks
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import Tracker, no_progress


@dataclass(frozen=True)
class Calibrated:
    """What one temperature makes of a posterior."""

    temperature: float
    source: str  # a phrase on where it comes from
    calibration: Calibration

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"temperature": self.temperature, "source": self.source, **self.calibration.as_dict()}


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a network, or an ensemble, says of a split's images, and the figures that follow from it.

    Args:
        split: The images.
        log_posterior: log p(c | x), float64 (N, Y), in nats, at the temperature stored with the weights, if any.
        classification: Of `log_posterior`; None where no image is labelled, or there is one class alone.
        calibration: Of the posterior before any temperature, T = 1; None likewise.
        calibrated: After; None likewise, and where there is no temperature and too few images to fit one.
        evidence: float64 (N, Y), what a temperature divides: log p(x | c), as it was read to tell the class, or the
            logits of a network without density.
        log_prior: log p(c), (Y,), which is added to it; zeros for logits.
        log_prob: log p(x | c), float64 (N, Y), in nats, of whole images; None of a network that has no density.
        log_marginal: log p(x), float64 (N,), in nats, p(x) = sum over c of p(c) p(x | c); None likewise.
        bits_per_dim: Mean over images of -log2 p(x | label) / (C H W), with p(x) where the label is not known; None
            likewise.
        images_per_second: How fast they were classified.
        views: Views of each image that were scored.
        masks: Masks by which each view was read to tell the class; 0 where it was told from whole images.
        combine: How these readings made one.
    """

    split: Split
    log_posterior: Tensor
    classification: Classification | None
    calibration: Calibration | None
    calibrated: Calibrated | None = None
    evidence: Tensor | None = None
    log_prior: Tensor | None = None
    log_prob: Tensor | None = None
    log_marginal: Tensor | None = None
    bits_per_dim: float | None = None
    images_per_second: float | None = None
    views: int = 1
    masks: int = 0
    combine: Combine = "density"

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

    @property
    def selective(self) -> RiskCoverage | None:
        """Accuracy where the unsure are set aside; None where there is no accuracy."""
        return RiskCoverage.of(self.log_posterior, self.split.labels) if self.classification else None

    def figures(self) -> dict[str, Any]:
        """Plain values for JSON; accuracy, macro F1, nll, Brier score and ECE are None where labels are unknown."""
        found = self.classification.as_dict() if self.classification else {"accuracy": None, "macro_f1": None}
        selective = self.selective
        return {
            **found,
            **(self.calibration.as_dict() if self.calibration else dict.fromkeys(("nll", "brier", "ece"))),
            "calibrated": self.calibrated.as_dict() if self.calibrated else None,
            "selective": selective.as_dict() if selective else None,
            "bits_per_dim": self.bits_per_dim,
            "bits_per_dim_of": self.density,
            "views": self.views,
            "masks": self.masks,
            "combine": self.combine,
            "images_per_second": self.images_per_second,
            "n": len(self.split),
        }


def measure(
    checkpoint: Checkpoint,
    split: Split,
    *,
    members: Sequence[Checkpoint] = (),
    views: int | None = None,
    masks: int | None = None,
    combine: Combine | None = None,
    batch_size: int = 64,
    plain: bool = False,
    track: Tracker = no_progress,
) -> Measurement:
    """Scores every image of a split under every class, and times it.

    Args:
        checkpoint: The network, on the device to use.
        split: Images on the network's own levels and size.
        members: Further networks on that device, which make an ensemble with it: all readings of all of them make one.
            No temperature that is stored is used then, since it was fitted to one network.
        views: Views of each image to score, of which the network must have been told; None for what its temperature was
            fitted to, or 1.
        masks: Masks by which to read each view and tell the class, of a network that learnt by context dropout; each
            hides as much as its own did; None likewise, or 0.
        combine: How the readings make one, see `inference.combined`; None likewise, or "density", of masks "mean".
            Bits per dimension are always of the density, and of whole images.
        batch_size: Images at a time.
        plain: Use the network itself, a class after the other: the oracle of `Scorer`, and slower.
        track: Wraps the loop over batches, to show progress.

    Raises:
        InputError: If the images are not of the network's channels and size, a label is beyond its classes, or views
            or masks beyond what it has learnt; or if the members are not of the same classes, pixels and prior.
    """
    check_fit(checkpoint, split)
    everyone = (checkpoint, *members)
    check_alike(everyone)
    fitted = checkpoint.calibration
    views = views or (fitted.views if fitted else 1)
    masks = (fitted.masks if fitted else 0) if masks is None else masks
    combine = combine or (fitted.combine if fitted else "mean" if masks else "density")
    networks = [each.network for each in everyone]
    _check_views(views, networks)
    _check_masks(masks, networks)
    config = checkpoint.network.config
    device = next(checkpoint.network.parameters()).device
    classes = len(checkpoint.class_names)
    rows = views * (1 + masks) * len(split) * classes
    viewed = [
        Viewed(
            OneByOne(network) if plain else Scorer(network, rows=rows),
            views,
            combine,
            _masks(network, views * masks),
        )
        for network in networks
    ]

    def score_readings(x: Tensor) -> Tensor:
        return torch.cat([each.reading_log_prob(x, classes) for each in viewed])  # (V, 1 + M, B, Y), V of all networks

    score_readings(to_x(split.pixels[:1].to(device), config.levels))  # the first pass is slower
    began = time.perf_counter()
    each = score(score_readings, split.pixels, config.levels, batch_size=batch_size, device=device, track=track)
    speed = len(split) / (time.perf_counter() - began)
    log_prob = combined(each[:, 0], "density")  # (N, Y)
    classifier = BayesClassifier(Ensemble(viewed, combine), checkpoint.log_prior)
    return _measured(
        replace(checkpoint, calibration=None) if members else _as_fitted(checkpoint, views, masks, combine),
        split,
        combined(deciding(each), combine),
        checkpoint.log_prior,
        views=views,
        masks=masks,
        combine=combine,
        log_prob=log_prob,
        log_marginal=classifier.log_prob_of(log_prob, torch.full_like(split.labels, NO_LABEL)),
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
    return _measured(checkpoint, split, logits, torch.zeros(logits.shape[1]), images_per_second=speed)


def _check_views(views: int, networks: Sequence[PixelCNN]) -> None:
    told = min(network.config.views for network in networks)
    if views > told or views not in COUNTS:
        known = ", ".join(str(count) for count in COUNTS if count <= told)
        who, ask = ("this network", "") if len(networks) == 1 else ("these networks together", "ask for that, or ")
        raise InputError(f"views is {views}, but {who} can score {known}; {ask}train one with model.views for more")


def _check_masks(masks: int, networks: Sequence[PixelCNN]) -> None:
    if masks < 0:
        raise InputError(f"masks is {masks}, expected 0 or more")
    if masks and not all(network.config.context_dropout for network in networks):
        raise InputError(
            f"masks is {masks}, but the network has seen whole images alone; train one with model.context_dropout"
        )


def _masks(network: PixelCNN, count: int) -> Tensor | None:
    config = network.config
    return fixed_masks(count, config.context_dropout, config.context_patch, *config.image_size) if count else None


def _as_fitted(checkpoint: Checkpoint, views: int, masks: int, combine: Combine) -> Checkpoint:
    """The checkpoint without its temperature if that was fitted to other readings."""
    fitted = checkpoint.calibration
    if fitted is None or (fitted.views, fitted.masks, fitted.combine) == (views, masks, combine):
        return checkpoint
    return replace(checkpoint, calibration=None, stale_calibration=True)


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


def _measured(checkpoint: Trained, split: Split, evidence: Tensor, log_prior: Tensor, **more: Any) -> Measurement:
    classified = (split.labels != NO_LABEL).any() and len(checkpoint.class_names) > 1
    found = log_posterior(evidence, log_prior, checkpoint.temperature)
    return Measurement(
        split=split,
        log_posterior=found,
        classification=Classification.of(found.argmax(dim=1), split.labels, checkpoint.class_names)
        if classified
        else None,
        calibration=Calibration.of(log_posterior(evidence, log_prior), split.labels) if classified else None,
        calibrated=_calibrated(checkpoint, split, evidence, log_prior, found) if classified else None,
        evidence=evidence,
        log_prior=log_prior,
        **more,
    )


def _calibrated(
    checkpoint: Trained, split: Split, evidence: Tensor, log_prior: Tensor, stored: Tensor
) -> Calibrated | None:
    """At the stored temperature; cross-fitted if there is none, or if it was fitted on these very images."""
    fitted = checkpoint.calibration
    if fitted and fitted.data != fingerprint(split):
        after, source = stored, fitted.origin
    else:
        crossed = cross_fitted(evidence, log_prior, split.labels)
        if crossed is None:
            return None
        after, source = crossed, "cross-fitted on these images"
    calibration = Calibration.of(after, split.labels)
    temperature = fitted.temperature if fitted else fit_temperature(evidence, log_prior, split.labels)
    return Calibrated(temperature, source, calibration) if calibration else None


def calibrate(trained: Trained, measurement: Measurement, source: str, split: str) -> FittedTemperature:
    """Fits a temperature, and what images like those of training score.

    Args:
        trained: The network.
        measurement: Of that network, by `measure` or `measure_baseline`; of images it was not trained on, since on its
            own it is right more often than it will be again.
        source: The data, as in `DataConfig`.
        split: The split that was measured.

    Raises:
        InputError: If no image has a label, or there is one class alone.
        ValueError: If the measurement lacks its evidence.
    """
    if measurement.calibration is None:
        raise InputError(
            f"{source}, {split}: a temperature is fitted to labels of two or more classes; give such a split"
        )
    evidence, log_prior = measurement.evidence, measurement.log_prior
    if evidence is None or log_prior is None:
        raise ValueError("the measurement has no evidence, expected one that `measure` has made")
    images, marginal = measurement.split, measurement.log_marginal
    temperature = fit_temperature(evidence, log_prior, images.labels)
    before, after = (
        float(F.nll_loss(log_posterior(evidence, log_prior, t), images.labels, ignore_index=NO_LABEL))
        for t in (1.0, temperature)
    )
    return FittedTemperature(
        temperature=temperature,
        weights=trained.digest,
        views=measurement.views,
        masks=measurement.masks,
        combine=measurement.combine,
        source=source,
        split=split,
        data=fingerprint(images),
        n=int((images.labels != NO_LABEL).sum()),
        nll_before=before,
        nll_after=after,
        typical=None if marginal is None else fit_typical(marginal, images.pixels, trained.preprocessing.levels),
    )
