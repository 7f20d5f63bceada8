"""Sampling with acceptance: prepares the judge and the rule for a trained network."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pixelbayes.checkpoints.trained import TrainedNetwork, TrainedPixelCNN
from pixelbayes.data import Split
from pixelbayes.evaluation.measure import measure
from pixelbayes.experiments.measure import load_matching_classifier
from pixelbayes.inference import SamplingConfig
from pixelbayes.inference.acceptance import AcceptanceRule, AcceptedSamples, fit_acceptance, sample_accepted
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import check_fields
from pixelbayes.utils.progress import tracker


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
    """

    trained: TrainedPixelCNN
    judge: TrainedNetwork
    rule: AcceptanceRule
    sampling: SamplingConfig

    @classmethod
    def of(
        cls, trained: TrainedPixelCNN, config: AcceptanceConfig, sampling: SamplingConfig, *, device: str = "auto"
    ) -> "Acceptance":
        """Loads the judge, and fixes the thresholds on pilot draws.

        Args:
            trained: The network.
            config: The share of draws to accept, the judge, and the largest number of draws.
            sampling: How to draw.
            device: The device of the judge.

        Raises:
            InputError: If the judge has other classes, or takes other images, than the network.
        """
        judge: TrainedNetwork = trained
        if config.judge:
            judge = load_matching_classifier(
                "judge", config.judge, trained.class_names, trained.preprocessing, device=pick_device(device)
            )
        rule = fit_acceptance(
            trained.network,
            range(len(trained.class_names)),
            lambda pixels: log_posterior(judge, pixels),
            config.rate,
            sampling,
            max_draws=config.max_draws,
            track=tracker("pilot draws, row by row"),
        )
        return cls(trained, judge, rule, sampling)

    def __call__(self, label: Tensor, index: Tensor) -> AcceptedSamples:
        """The samples with these labels and indices, int64 (N,) each."""
        return sample_accepted(
            self.trained.network,
            label,
            index,
            lambda pixels: log_posterior(self.judge, pixels),
            self.rule,
            self.sampling,
            track=tracker("sampling, draw by draw"),
        )

    def as_dict(self, samples: AcceptedSamples) -> dict[str, Any]:
        """Plain values for JSON: the rule, Z_c of each class, and what became of some samples."""
        names, rule = self.trained.class_names, self.rule
        return {
            "rate": rule.rate,
            "judge": self.judge.digest,
            "max_draws": rule.max_draws,
            "pilot_draws_per_class": rule.pilot,
            "threshold": dict(zip(names, rule.threshold, strict=True)),
            "acceptance": dict(zip(names, rule.acceptance, strict=True)),
            "samples": len(samples.accepted),
            "accepted": int(samples.accepted.sum()),
            "mean_draws": float(samples.draws.double().mean()),
        }


def log_posterior(judge: TrainedNetwork, pixels: Tensor) -> Tensor:
    """log p(c | x) of a judge, calibrated if it is, float64 (N, Y), for uint8 levels (N, C, H, W)."""
    count = len(pixels)
    split = Split(pixels.cpu(), torch.full((count,), NO_LABEL), tuple(map(str, range(count))))
    return measure(judge, split).log_posterior
