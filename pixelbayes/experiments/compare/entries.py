"""What is compared: a name, and what is trained under it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pixelbayes import experiments as experiment
from pixelbayes.experiments import ExperimentConfig
from pixelbayes.experiments.baseline import BaselineConfig, train_baseline
from pixelbayes.experiments.presets import PRESETS
from pixelbayes.experiments.run_folder import RunConfig
from pixelbayes.training import OptimizationConfig
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import safe_name

BASELINE = "baseline"  # the name of the dedicated classifier

# what a preset does not decide in a comparison
BUDGET = ("epochs", "max_seconds", "device", "precision", "logger", "sample_every", "samples_per_class")


@dataclass(frozen=True)
class Contender:
    """One row of the table: a name and what is trained under it."""

    name: str
    config: RunConfig

    def run(self, out: Path, seed: int) -> Path:
        return out / safe_name(self.name) / f"seed-{seed}"

    def train(self, seed: int, run: Path, report_on: str) -> None:
        config = replace(self.config, seed=seed)
        if isinstance(config, BaselineConfig):
            train_baseline(config, run, resume=True, report_on=report_on)
        elif isinstance(config, ExperimentConfig):
            experiment.train(config, run, resume=True, report_on=report_on)


def contenders(names: Sequence[str], base: ExperimentConfig) -> list[Contender]:
    """What names stand for.

    A fusion changes the base's fusion alone. A preset lends model, augmentation and training, but not data and budget.
    "baseline" is the dedicated classifier under the base's data, augmentation, budget and seed.

    Raises:
        InputError: If a name is none of these, or stands twice.
    """
    if len(set(names)) < len(names):
        raise InputError(f"a name stands twice among {', '.join(names)}")
    return [Contender(name, _config(name, base)) for name in names]


def _config(name: str, base: ExperimentConfig) -> RunConfig:
    if name == BASELINE:
        config = BaselineConfig(data=base.data, augmentation=base.augmentation)
        return replace(config, training=replace(config.training, **_budget(base, config.training)))
    if name in PRESETS:
        preset = PRESETS[name]
        return replace(preset, data=base.data, training=replace(preset.training, **_budget(base, preset.training)))
    return replace(base, model=replace(base.model, fusion=name))


def _budget(base: ExperimentConfig, training: OptimizationConfig) -> dict[str, Any]:
    """What the comparison decides for every contender."""
    return {name: getattr(base.training, name) for name in BUDGET if hasattr(training, name)}
