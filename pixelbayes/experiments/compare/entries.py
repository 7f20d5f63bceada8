"""The entries of a comparison: a name, and the config that is trained under it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbayes.data import ImageData
from pixelbayes.experiments.baseline import TIMM, BaselineConfig, ClassifierArchitecture, train_baseline
from pixelbayes.experiments.config import ExperimentConfig, RunConfig
from pixelbayes.experiments.presets import PRESETS
from pixelbayes.experiments.train import train
from pixelbayes.training import OptimizationConfig
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import safe_name
from pixelbayes.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from pixelbayes.training.callbacks import OnEpoch  # Lightning takes seconds to import

BASELINE = "baseline"  # the name of the dedicated classifier

# the fields that the comparison decides for every entry
BUDGET = (
    *("epochs", "max_seconds", "patience", "find_learning_rate"),
    *("device", "precision", "logger", "sample_every", "samples_per_class"),
)


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    Args:
        name: A fusion, a preset, "baseline" or "timm:NAME".
        config: The config of its runs, apart from the seed.
    """

    name: str
    config: RunConfig

    def folder(self, out: Path, seed: int) -> RunFolder:
        """The run folder of a seed."""
        return RunFolder(out / safe_name(self.name) / f"seed-{seed}")

    def train(
        self,
        seed: int,
        folder: RunFolder,
        eval_split: str,
        data: ImageData | None = None,
        on_epoch: "OnEpoch | None" = None,
    ) -> dict[str, Any]:
        """Trains with a seed into a run folder, or resumes the run there; returns its metrics."""
        config = replace(self.config, seed=seed)
        if isinstance(config, BaselineConfig):
            return train_baseline(config, folder.path, resume=True, eval_split=eval_split, data=data)
        assert isinstance(config, ExperimentConfig)
        return train(config, folder.path, resume=True, eval_split=eval_split, data=data, on_epoch=on_epoch)


def make_entries(names: Sequence[str], base: ExperimentConfig) -> list[Entry]:
    """The entries of these names.

    A fusion replaces only the fusion of the base config. A preset provides model, augmentation and training, but not
    data and budget. "baseline" is the dedicated classifier with the data, augmentation, budget and seed of the base,
    "timm:NAME" one that is pre-trained.

    Raises:
        InputError: If a name is unknown, or occurs twice.
    """
    if len(set(names)) < len(names):
        raise InputError(f"a name occurs twice among {', '.join(names)}")
    return [Entry(name, _config(name, base)) for name in names]


def _config(name: str, base: ExperimentConfig) -> RunConfig:
    if name == BASELINE or name.startswith(TIMM):
        model = ClassifierArchitecture() if name == BASELINE else ClassifierArchitecture(network=name)
        config = BaselineConfig(data=base.data, augmentation=base.augmentation, model=model)
        return replace(config, training=replace(config.training, **_budget(base, config.training)))
    if name in PRESETS:
        preset = PRESETS[name]
        return replace(preset, data=base.data, training=replace(preset.training, **_budget(base, preset.training)))
    return replace(base, model=replace(base.model, fusion=name))


def _budget(base: ExperimentConfig, training: OptimizationConfig) -> dict[str, Any]:
    return {name: getattr(base.training, name) for name in BUDGET if hasattr(training, name)}
