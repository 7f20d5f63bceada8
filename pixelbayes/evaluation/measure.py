"""Measures a network on a split: one pass over its images, from which all metrics follow."""

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelbayes.checkpoints.calibration_record import CalibrationRecord, SetThreshold
from pixelbayes.checkpoints.trained import Trained, TrainedClassifier
from pixelbayes.data import Split
from pixelbayes.images.pixels import to_x
from pixelbayes.images.views import COUNTS
from pixelbayes.inference import (
    BayesClassifier,
    Combine,
    EnsembleDensity,
    MultiView,
    ReferenceScorer,
    Scorer,
    ScoringConfig,
    classifying_passes,
    combine_log_probs,
    score,
)
from pixelbayes.inference.classifier import log_posterior
from pixelbayes.metrics.calibration import Calibration
from pixelbayes.metrics.classification import Classification
from pixelbayes.metrics.conformal import COVERAGE, fit_set_threshold, prediction_sets, set_metrics
from pixelbayes.metrics.ood import fit_ood_reference
from pixelbayes.metrics.registry import computed_metrics
from pixelbayes.metrics.selective import RiskCoverage
from pixelbayes.metrics.temperature_scaling import cross_fitted, fit_temperature
from pixelbayes.models.context_dropout import fixed_masks
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import Tracker, no_progress

DEFAULT_SCORING = ScoringConfig()


@dataclass(frozen=True)
class Calibrated:
    """The calibration of a posterior after temperature scaling."""

    temperature: float
    source: str  # what the temperature was fitted on, as a phrase
    calibration: Calibration

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"temperature": self.temperature, "source": self.source, **self.calibration.as_dict()}


@dataclass(frozen=True, eq=False)
class Measurement:
    """The output of a network or an ensemble for the images of a split, and the metrics that follow from it.

    Args:
        split: The images.
        log_posterior: log p(c | x), float64 (N, Y), in nats, at the temperature stored with the weights, if any.
        evidence: float64 (N, Y), the numbers that a temperature divides: log p(x | c) of the passes that decide the
            class, or the logits of a dedicated classifier.
        log_prior: log p(c), (Y,), which is added to the evidence; zeros for logits.
        classification: Metrics of `log_posterior`; None if no image has a label, or there is only one class.
        calibration: Calibration of the posterior at T = 1; None likewise.
        calibrated: Calibration after temperature scaling; None likewise, and if there is no stored temperature and
            there are too few images to fit one.
        sets: The prediction set of each image, bool (N, Y); None without a stored threshold for this way of scoring.
        set_metrics: Coverage and size of the sets as plain values; None likewise.
        log_prob: log p(x | c), float64 (N, Y), in nats, of unmasked images; None for a dedicated classifier.
        log_marginal: log p(x), float64 (N,), in nats, p(x) = sum over c of p(c) p(x | c); None likewise.
        bits_per_dim: Mean over images of -log2 p(x | label) / (C H W), with p(x) for images without a label; None
            likewise.
        images_per_second: Speed of classification.
        views: Number of views scored per image.
        masks: Number of masks per view that decided the class; 0 for unmasked images.
        combine: How the passes were combined.
    """

    split: Split
    log_posterior: Tensor
    evidence: Tensor
    log_prior: Tensor
    classification: Classification | None = None
    calibration: Calibration | None = None
    calibrated: Calibrated | None = None
    sets: Tensor | None = None
    set_metrics: dict[str, Any] | None = None
    log_prob: Tensor | None = None
    log_marginal: Tensor | None = None
    bits_per_dim: float | None = None
    images_per_second: float | None = None
    views: int = 1
    masks: int = 0
    combine: Combine = "mixture"

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
        """The density that `bits_per_dim` refers to: p(x | label), p(x), or both if some labels are unknown."""
        if self.bits_per_dim is None:
            return None
        known = self.split.labels != NO_LABEL
        return "p(x | label)" if known.all() else "p(x | label), p(x) where unknown" if known.any() else "p(x)"

    @property
    def selective(self) -> RiskCoverage | None:
        """Accuracy when the least confident images are left out; None if there is no accuracy."""
        return RiskCoverage.of(self.log_posterior, self.split.labels) if self.classification else None

    def metrics(self) -> dict[str, Any]:
        """Plain values for JSON; accuracy, macro F1, NLL, Brier score and ECE are None if no label is known."""
        found = self.classification.as_dict() if self.classification else {"accuracy": None, "macro_f1": None}
        selective = self.selective
        return {
            **found,
            **computed_metrics(self.log_posterior, self.split.labels),
            **(self.calibration.as_dict() if self.calibration else dict.fromkeys(("nll", "brier", "ece"))),
            "calibrated": self.calibrated.as_dict() if self.calibrated else None,
            "selective": selective.as_dict() if selective else None,
            "prediction_sets": self.set_metrics,
            "bits_per_dim": self.bits_per_dim,
            "bits_per_dim_of": self.density,
            "views": self.views,
            "masks": self.masks,
            "combine": self.combine,
            "images_per_second": self.images_per_second,
            "n": len(self.split),
        }


def measure(
    trained: Trained,
    split: Split,
    scoring: ScoringConfig = DEFAULT_SCORING,
    *,
    track: Tracker = no_progress,
) -> Measurement:
    """Scores every image of a split under every class, and measures the speed.

    Args:
        trained: A network, or an ensemble, on the device to use.
        split: Images with the shape that the network takes.
        scoring: How to score; a dedicated classifier uses only its batch size. Bits per dimension are always those of
            the mixture over views, of unmasked images.
        track: Wraps the loop over batches, to show progress.

    Raises:
        InputError: If the images have another shape, a label is out of range, or the network was not trained for the
            requested views or masks.
    """
    check_fit(trained, split)
    if isinstance(trained, TrainedClassifier):
        return _measure_classifier(trained, split, scoring.batch_size)
    return _measure_density(trained, split, scoring, track)


def _measure_density(trained: Trained, split: Split, scoring: ScoringConfig, track: Tracker) -> Measurement:
    record = trained.calibration
    views = scoring.views or (record.views if record else 1)
    masks = (record.masks if record else 0) if scoring.masks is None else scoring.masks
    combine: Combine = scoring.combine or (record.combine if record else "product" if masks else "mixture")
    networks = [density.network for density in trained.densities]
    _check_views(views, networks)
    _check_masks(masks, networks)
    classes = len(trained.class_names)
    rows = views * (1 + masks) * len(split) * classes
    densities = [
        MultiView(
            ReferenceScorer(network) if scoring.reference else Scorer(network, rows=rows),
            views,
            combine,
            _masks(network, views * masks),
        )
        for network in networks
    ]

    def score_passes(x: Tensor) -> Tensor:
        return torch.cat([density.pass_log_probs(x, classes) for density in densities])  # (V of all, 1 + M, B, Y)

    shape = trained.image_shape
    score_passes(to_x(split.pixels[:1].to(trained.device), shape.levels))  # the first pass is slower
    started = time.perf_counter()
    passes = score(
        score_passes, split.pixels, shape.levels, batch_size=scoring.batch_size, device=trained.device, track=track
    )
    images_per_second = len(split) / (time.perf_counter() - started)
    log_prob = combine_log_probs(passes[:, 0], "mixture")  # (N, Y)
    classifier = BayesClassifier(EnsembleDensity(densities, combine), trained.log_prior)
    return _measurement(
        _with_matching_calibration(trained, views, masks, combine),
        split,
        combine_log_probs(classifying_passes(passes), combine),
        trained.log_prior,
        views=views,
        masks=masks,
        combine=combine,
        log_prob=log_prob,
        log_marginal=classifier.log_prob_of(log_prob, torch.full_like(split.labels, NO_LABEL)),
        bits_per_dim=float(bits_per_dim(-classifier.log_prob_of(log_prob, split.labels), shape.dims).mean()),
        images_per_second=images_per_second,
    )


@torch.no_grad()
def _measure_classifier(trained: TrainedClassifier, split: Split, batch_size: int) -> Measurement:
    network, levels, device = trained.network, trained.image_shape.levels, trained.device
    batches = split.pixels.split(batch_size)
    network(to_x(batches[0].to(device), levels))  # the first pass is slower
    started = time.perf_counter()
    logits = torch.cat([network(to_x(batch.to(device), levels)).double().cpu() for batch in batches])
    images_per_second = len(split) / (time.perf_counter() - started)
    return _measurement(trained, split, logits, torch.zeros(logits.shape[1]), images_per_second=images_per_second)


def _check_views(views: int, networks: list[PixelCNN]) -> None:
    trained_views = min(network.config.views for network in networks)
    if views > trained_views:
        allowed = ", ".join(str(count) for count in COUNTS if count <= trained_views)
        raise InputError(f"views is {views}, expected {allowed}; train a network with model.views for more")


def _check_masks(masks: int, networks: list[PixelCNN]) -> None:
    if masks and not all(network.config.context_dropout for network in networks):
        raise InputError(
            f"masks is {masks}, expected 0 because the network was trained on unmasked images; "
            "train one with model.context_dropout"
        )


def _masks(network: PixelCNN, count: int) -> Tensor | None:
    config = network.config
    size = config.image_shape.size
    return fixed_masks(count, config.context_dropout, config.context_patch, *size) if count else None


def _with_matching_calibration(trained: Trained, views: int, masks: int, combine: Combine) -> Trained:
    """The network without its calibration, if that is of another way of scoring."""
    record = trained.calibration
    if record is None or (record.views, record.masks, record.combine) == (views, masks, combine):
        return trained
    return replace(trained, calibration=None, stale_calibration=True)


def check_fit(trained: Trained, split: Split) -> None:
    """Checks that a network takes the images of a split.

    Raises:
        InputError: If the images have another shape, there are none, or a label is out of range.
    """
    shape, expected = tuple(split.pixels.shape[1:]), trained.image_shape.chw
    if shape != expected:
        raise InputError(f"images have shape {shape}, the network takes {expected}")
    if len(split) == 0:
        raise InputError("the split holds no image")
    largest, classes = int(split.labels.max()), len(trained.class_names)
    if largest >= classes:
        raise InputError(f"label {largest} is out of range: the network has {classes} classes")


def _measurement(trained: Trained, split: Split, evidence: Tensor, log_prior: Tensor, **more: Any) -> Measurement:
    posterior = log_posterior(evidence, log_prior, trained.temperature)
    record = trained.calibration
    if record is not None and record.sets is not None:
        sets = prediction_sets(posterior.exp(), record.sets.threshold)
        found = set_metrics(sets, split.labels, trained.class_names)
        more |= {"sets": sets, "set_metrics": {**found, "asked": record.sets.coverage, "source": record.origin}}
    measurement = Measurement(split, posterior, evidence, log_prior, **more)
    if len(trained.class_names) < 2 or not (split.labels != NO_LABEL).any():
        return measurement
    return replace(
        measurement,
        classification=Classification.of(posterior.argmax(dim=1), split.labels, trained.class_names),
        calibration=Calibration.of(log_posterior(evidence, log_prior), split.labels),
        calibrated=_calibrated(trained.calibration, measurement),
    )


def _calibrated(record: CalibrationRecord | None, measurement: Measurement) -> Calibrated | None:
    """Calibration at the stored temperature; cross-fitted if there is none, or if it was fitted on these images."""
    evidence, log_prior, labels = measurement.evidence, measurement.log_prior, measurement.split.labels
    posterior: Tensor | None
    if record and record.data != measurement.split.fingerprint():
        posterior, source = measurement.log_posterior, record.origin
    else:
        posterior, source = cross_fitted(evidence, log_prior, labels), "cross-fitted on these images"
    calibration = None if posterior is None else Calibration.of(posterior, labels)
    if calibration is None:
        return None
    temperature = record.temperature if record else fit_temperature(evidence, log_prior, labels).value
    return Calibrated(temperature, source, calibration)


def calibrate(
    trained: Trained, measurement: Measurement, source: str, split: str, coverage: float = COVERAGE
) -> CalibrationRecord:
    """Fits a temperature, the threshold of prediction sets and the out-of-distribution reference to a measurement.

    Args:
        trained: The network.
        measurement: Its measurement on images that it was not trained on; on training images it would be overconfident.
        source: The data, as in `DataConfig`.
        split: The split that was measured.
        coverage: The probability that a prediction set holds the class of an image, above 0 and below 1.

    Raises:
        InputError: If no image has a label, or there is only one class; or if the coverage is out of its range.
    """
    if not 0 < coverage < 1:
        raise InputError(f"coverage is {coverage}, expected a number above 0 and below 1")
    if measurement.calibration is None:
        raise InputError(
            f"{source}, {split}: calibration needs images with labels of two or more classes; name such a split"
        )
    evidence, log_prior, images = measurement.evidence, measurement.log_prior, measurement.split
    temperature, *interval = fit_temperature(evidence, log_prior, images.labels)
    before, after = (
        float(F.nll_loss(log_posterior(evidence, log_prior, t), images.labels, ignore_index=NO_LABEL))
        for t in (1.0, temperature)
    )
    marginal, crossed = measurement.log_marginal, cross_fitted(evidence, log_prior, images.labels)
    sets = None
    if crossed is not None:
        threshold = fit_set_threshold(crossed.exp(), images.labels, coverage)
        sets = SetThreshold(coverage=coverage, threshold=threshold)
    return CalibrationRecord(
        temperature=temperature,
        weights=trained.digest,
        views=measurement.views,
        masks=measurement.masks,
        combine=measurement.combine,
        source=source,
        split=split,
        data=images.fingerprint(),
        n=int((images.labels != NO_LABEL).sum()),
        interval=(interval[0], interval[1]),
        nll_before=before,
        nll_after=after,
        sets=sets,
        ood=None if marginal is None else fit_ood_reference(marginal, images.pixels, trained.image_shape.levels),
    )
