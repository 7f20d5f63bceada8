"""The two phases of a sweep: the search, and further seeds for the best trials. Each proposes trials and their runs."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna import Trial
from optuna.trial import FrozenTrial, TrialState

from pixelbayes.data import ImageData
from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.sizes import network_size
from pixelbayes.experiments.sweep.config import SweepConfig
from pixelbayes.experiments.sweep.space import SearchSpace, Value, from_scalar, with_values
from pixelbayes.experiments.sweep.study import SweepStudy, root, runs
from pixelbayes.experiments.train import train
from pixelbayes.experiments.workers import Job
from pixelbayes.models.pixelcnn import PixelCNNConfig
from pixelbayes.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from pixelbayes.training.callbacks import OnEpoch  # Lightning takes seconds to import


@dataclass(frozen=True)
class TrialEntry:
    """What a trial trains.

    Args:
        name: Its name.
        config: The config of its run, apart from the seed.
        samples: Number of samples per class for FID; 0 for none.
    """

    name: str
    config: ExperimentConfig
    samples: int = 0

    def train(
        self, seed: int, folder: RunFolder, eval_split: str, data: ImageData | None, on_epoch: "OnEpoch | None"
    ) -> dict[str, Any]:
        """Trains into a run folder, or resumes the run there; returns its metrics."""
        config = replace(self.config, seed=seed)
        return train(
            config,
            folder.path,
            resume=True,
            eval_split=eval_split,
            samples=self.samples,
            data=data,
            on_epoch=on_epoch,
        )


class Phase(ABC):
    """Trials of one study, and what they train.

    Args:
        study: The study.
        base: The config that the searched fields are part of.
        space: The search space.
        config: The config of the sweep.
        runs: The folder of the run folders.
    """

    title: str
    """what this phase does, for people"""
    prunes = False
    """whether trials may be stopped early"""

    def __init__(self, study: SweepStudy, base: ExperimentConfig, space: SearchSpace, config: SweepConfig, runs: Path):
        self.study, self.base, self.space, self.config, self.runs = study, base, space, config, runs

    @abstractmethod
    def has_next(self) -> bool:
        """Whether there is a trial to train at present."""

    @abstractmethod
    def ask(self) -> Trial | None:
        """The next trial; None if another machine was faster."""

    @abstractmethod
    def job(self, trial: Trial) -> Job:
        """The run of a trial.

        Raises:
            InputError: If its settings are impossible.
        """

    @abstractmethod
    def planned(self) -> int:
        """Number of runs of this phase, as known so far."""

    def _job(self, name: str, values: dict[str, Value], seed: int, folder: Path) -> Job:
        samples = self.config.samples if "fid" in self.config.directions else 0
        entry = TrialEntry(name, with_values(self.base, values), samples)
        return Job(entry, seed, RunFolder(folder), is_watched=True)


class Search(Phase):
    """New trials, until there are as many as asked for; and runs that were stopped early and deserve more epochs."""

    title = "search"

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.prunes = self.config.prunes

    def has_next(self) -> bool:
        return (
            self.study.has_waiting()
            or self._searched(self.study.trials()) < self.config.trials
            or self.study.promotable() is not None
        )

    def ask(self) -> Trial | None:
        if not self.study.has_waiting() and (stopped := self.study.promotable()) is not None:
            self.study.continue_run(stopped.number)
        return self.study.ask(self._is_wanted)

    def _is_wanted(self, trial: Trial) -> bool:
        return self._searched(self.study.trials()[: trial.number]) < self.config.trials

    @staticmethod
    def _searched(trials: Sequence[FrozenTrial]) -> int:
        """Number of runs whose settings the sampler has chosen."""
        return sum(each[0].user_attrs.get("origin", "search") == "search" for each in runs(trials).values())

    def planned(self) -> int:
        found = runs(self.study.trials())
        return len(found) + max(0, self.config.trials - self._searched(self.study.trials()))

    def longest(self) -> float:
        """Seconds of the longest trial that was trained to its end without an interruption; 0 without one."""
        ended = [trial for trial in self.study.trials() if trial.state == TrialState.COMPLETE]
        spans = [
            (trial.datetime_complete - trial.datetime_start).total_seconds()
            for trial in ended
            if trial.datetime_complete and trial.datetime_start
        ]
        return max(spans, default=0.0)

    def settings(self, trial: Trial | FrozenTrial) -> dict[str, Value]:
        """The searched fields of a trial."""
        return {
            name: from_scalar(trial.params[name], values)
            for name, values in self.space.items()
            if name in trial.params  # a waiting trial may lack some
        }

    def settings_of(self, number: int) -> dict[str, Value]:
        """The searched fields of the run with this number."""
        return self.settings(runs(self.study.trials())[number][-1])

    def job(self, trial: Trial) -> Job:
        number = root(self.study.trials()[trial.number])
        return self._job(f"trial {number}", self.settings(trial), self.base.seed, self.runs / f"trial-{number:04d}")

    def num_parameters(self, trial: Trial, data: ImageData | None) -> int | None:
        """Number of learned parameters of the network of a trial; None if the size of the images is searched."""
        if data is None:
            return None
        architecture = with_values(self.base, self.settings(trial)).model
        shape, classes = data.preprocessing.image_shape, len(data.class_names)
        network = PixelCNNConfig(**dataclasses.asdict(architecture), image_shape=shape, num_classes=classes)
        return round(network_size(network).parameters)


class Repeats(Phase):
    """Further seeds for the best trials.

    Args:
        search: The search.
        ranked: Returns the numbers of the finished trials, the best first.
        args, kwargs: As for `Phase`.
    """

    title = "further seeds"

    def __init__(self, search: Search, ranked: Callable[[], Sequence[int]], *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.search = search
        self.ranked = ranked

    def plan(self) -> None:
        """Adds a trial for each further seed of each of the best trials."""
        for number in self.ranked()[: self.config.repeat_best]:
            for seed in range(self.base.seed + 1, self.base.seed + 1 + self.config.repeat_seeds):
                self.study.plan(f"{number}/{seed}", {}, number=number, seed=seed)

    def has_next(self) -> bool:
        return self.study.has_waiting()

    def ask(self) -> Trial | None:
        return self.study.ask(lambda _: False)

    def planned(self) -> int:
        return len(runs(self.study.trials()))

    def job(self, trial: Trial) -> Job:
        number, seed = trial.user_attrs["number"], trial.user_attrs["seed"]
        settings = self.search.settings_of(number)
        return self._job(f"trial {number}, seed {seed}", settings, seed, self.runs / f"trial-{number:04d}-seed-{seed}")
