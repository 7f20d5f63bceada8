"""Sampling with acceptance: prepares the judge and the rule for a trained network."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from pixelbayes.checkpoints.trained import TrainedNetwork, TrainedPixelCNN
from pixelbayes.data import Split
from pixelbayes.evaluation.measure import measure
from pixelbayes.experiments.measure import load_matching_classifier
from pixelbayes.inference import BayesClassifier, SamplingConfig, Scorer, ScoringConfig
from pixelbayes.inference.acceptance import AcceptanceRule, AcceptedSamples, fit_acceptance, sample_accepted
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import check_fields
from pixelbayes.utils.progress import Tracker, no_progress, tracker

AS_SAMPLED = ScoringConfig(views=1, masks=0)  # how the density is scored that samples are drawn from


@documented
@dataclass(frozen=True, kw_only=True)
class AcceptanceConfig:
    """Which draws are kept as samples.

    Raises:
        InputError: If a value is out of its range.
    """

    rate: float
    """share of the draws of each class that are accepted, the best ones, above 0 and at most 1"""
    judge: str = ""
    """run of a dedicated classifier that judges the draws; empty for the posterior of the network itself"""
    max_draws: int | None = None
    """draws of a sample, at most; by default so many that 99 of 100 samples are accepted"""

    def __post_init__(self) -> None:
        check_fields(self, ("rate",), lambda rate: 0 < rate <= 1, "above 0 and at most 1")
        check_fields(self, ("max_draws",), lambda n: n is None or n >= 1, "at least 1")


@dataclass(frozen=True, eq=False)
class Acceptance:
    """Draws samples of a network with acceptance.

    Args:
        trained: The network.
        judge: The network that judges the draws.
        rule: When a draw is accepted.
        sampling: How to draw.
        settings: What determines the samples, besides the network and `sampling`, as JSON values.
    """

    trained: TrainedPixelCNN
    judge: TrainedNetwork
    rule: AcceptanceRule
    sampling: SamplingConfig
    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        trained: TrainedPixelCNN,
        judge: TrainedNetwork,
        config: AcceptanceConfig,
        sampling: SamplingConfig,
        manifest: Mapping[str, Any] | None = None,
    ) -> "Acceptance":
        """Fixes the thresholds on pilot draws.

        Args:
            trained: The network.
            judge: The network that judges the draws, as from `load_judge`.
            config: The share of draws to accept, and the largest number of draws.
            sampling: How to draw.
            manifest: Settings of earlier samples. If they are those of these samples, their thresholds are used and
                no pilot draws are made.
        """
        asked = _settings(config, judge)
        same = {**sampling_settings(trained, sampling), **asked}
        if manifest and all(manifest.get(name) == value for name, value in same.items()):
            rule = AcceptanceRule(**manifest["rule"])
        else:
            rule = fit_acceptance(
                trained.network,
                range(len(trained.class_names)),
                lambda pixels: log_posterior(judge, pixels),
                config.rate,
                sampling,
                max_draws=config.max_draws,
                track=tracker("pilot draws, row by row"),
            )
        return cls(trained, judge, rule, sampling, {**asked, "rule": asdict(rule)})

    def __call__(self, label: Tensor, index: Tensor, track: Tracker = no_progress) -> AcceptedSamples:
        """The samples with these labels and indices, int64 (N,) each; `track` as in `sample_accepted`."""
        return sample_accepted(self.trained.network, label, index, self.judged, self.rule, self.sampling, track=track)

    def judged(self, pixels: Tensor) -> Tensor:
        """log p(c | x) of the judge, float64 (N, Y), for uint8 levels (N, C, H, W)."""
        return log_posterior(self.judge, pixels)

    def as_dict(self, pixels: Tensor, labels: Sequence[int]) -> dict[str, Any]:
        """Plain values for JSON: the rule, what follows from it for each class, and how many samples are accepted.

        Args:
            pixels: Samples of some classes, uint8 levels (k, n, C, H, W).
            labels: The labels of these k classes.
        """
        names, rule = self.trained.class_names, self.rule
        pixels, label = pixels.flatten(0, 1), torch.tensor(labels).repeat_interleave(pixels.shape[1])
        return {
            "rate": rule.rate,
            "judge": self.judge.digest,
            "max_draws": rule.max_draws,
            "pilot_draws_per_class": rule.pilot,
            "threshold": dict(zip(names, rule.threshold, strict=True)),
            "acceptance": dict(zip(names, rule.acceptance, strict=True)),
            "expected_draws": dict(zip(names, rule.expected_draws, strict=True)),
            "samples": len(pixels),
            "accepted": int(rule.accepts(self.judged(pixels), label).sum()),
        }

    def bits_per_dim(self, split: Split) -> dict[str, float | None]:
        """Bits per dimension of images, under the density of the draws and under that of the accepted samples.

        Both are None if the draws do not follow the network's own density, because of a temperature or guidance.
        """
        if self.sampling.temperature != 1 or self.sampling.guidance:
            return {"bits_per_dim": None, "bits_per_dim_of_draws": None}
        log_prob = measure(self.trained, split, AS_SAMPLED).log_prob  # (N, Y)
        assert log_prob is not None
        weight = self.rule.log_weight(self.judged(split.pixels))
        classifier = BayesClassifier(Scorer(self.trained.network), self.trained.log_prior)
        accepted, drawn = (
            float(bits_per_dim(-classifier.log_prob_of(density, split.labels), self.trained.image_shape.dims).mean())
            for density in (log_prob + weight, log_prob)
        )
        return {"bits_per_dim": accepted, "bits_per_dim_of_draws": drawn}


def load_judge(trained: TrainedPixelCNN, config: AcceptanceConfig, *, device: str = "auto") -> TrainedNetwork:
    """The network that judges the draws of another.

    Raises:
        InputError: If it has other classes, or takes other images.
    """
    if not config.judge:
        return trained
    return load_matching_classifier(
        "judge", config.judge, trained.class_names, trained.preprocessing, device=pick_device(device)
    )


def sampling_settings(trained: TrainedPixelCNN, sampling: SamplingConfig) -> dict[str, Any]:
    """Everything that determines the draws of a network, besides label and index, as JSON values."""
    return {
        "weights": trained.digest,
        "image_size": list(trained.image_shape.size),
        "seed": sampling.seed,
        "temperature": sampling.temperature,
        "guidance": sampling.guidance,
    }


def _settings(config: AcceptanceConfig, judge: TrainedNetwork) -> dict[str, Any]:
    return {"accept": config.rate, "judge": judge.digest, "max_draws": config.max_draws}


def acceptance_line(found: Mapping[str, Any]) -> str:
    """What became of samples drawn with acceptance, from `Acceptance.as_dict`, in one line for people."""
    shares = ", ".join(f"{name} {share:.2f}" for name, share in found["acceptance"].items())
    draws = sum(found["expected_draws"].values()) / len(found["expected_draws"])
    bits = ""
    if found.get("bits_per_dim") is not None:
        bits = f"; bits per dimension of real images: {found['bits_per_dim']:.4f}, of the draws alone "
        bits += f"{found['bits_per_dim_of_draws']:.4f}"
    return (
        f"{found['accepted']} of {found['samples']} samples accepted, after at most {found['max_draws']} draws each, "
        f"{draws:.1f} expected; share of the draws that is accepted: {shares}{bits}"
    )


def log_posterior(judge: TrainedNetwork, pixels: Tensor) -> Tensor:
    """log p(c | x) of a judge, calibrated if it is, float64 (N, Y), for uint8 levels (N, C, H, W)."""
    count = len(pixels)
    split = Split(pixels.cpu(), torch.full((count,), NO_LABEL), tuple(map(str, range(count))))
    return measure(judge, split).log_posterior
