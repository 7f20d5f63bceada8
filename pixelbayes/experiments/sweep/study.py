"""The trials of a sweep: an Optuna study in which a trial may continue the run of an earlier one.

Optuna never reopens a trial that has ended. A run that was interrupted, or that successive halving has stopped, goes on
as a new trial with the same settings, which names its predecessors as Optuna's own retry of stale trials does. All
trials of a run have the same root, the number of the first one, and share its run folder.

Several machines may add the same trial at the same time. The one with the lowest number is run, and the others are
withdrawn. So none is run twice, and the database needs no locks of ours.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import optuna
from optuna import Trial
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from pixelbayes.experiments.sweep.space import SearchSpace
from pixelbayes.experiments.sweep.storage import OutOfReach, continue_later, patiently

KEY = "key"  # user attribute of a trial that was planned: two trials with the same key are the same
CLAIMED = "claimed"  # user attribute with the number of the trial itself, because continued trials inherit attributes
WITHDRAWN = "withdrawn"  # user attribute of a trial that was added twice
INFEASIBLE = "infeasible"  # user attribute: whether a trial violates a constraint
REASON = "reason"  # user attribute: why a trial failed or was stopped
RUNG = "completed_rung_"  # system attribute of the pruner: value of a trial at the end of a rung

STATES = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def predecessors(trial: FrozenTrial) -> list[int]:
    """Numbers of the trials whose run a trial continues, the first one first."""
    numbers: list[int] = trial.system_attrs.get("retry_history", [])  # as RetryHeartbeatStaleTrialCallback writes it
    return numbers


def root(trial: FrozenTrial) -> int:
    """Number of the first trial of a run."""
    return next(iter(predecessors(trial)), trial.number)


def runs(trials: Sequence[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    """The trials of each run, by root, in order; without those that were withdrawn."""
    found: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if WITHDRAWN not in trial.user_attrs:
            found.setdefault(root(trial), []).append(trial)
    return found


def make_sampler(kind: str, seed: int) -> BaseSampler:
    """The sampler of a name, with a seed.

    Args:
        kind: "tpe", "gp", "random", or "grid", whose combinations are planned, so that nothing is sampled.
        seed: The seed.
    """
    if kind == "tpe":
        return TPESampler(seed=seed, multivariate=True)
    return GPSampler(seed=seed) if kind == "gp" else RandomSampler(seed=seed)


class SuccessiveHalving(BasePruner):
    """Optuna's asynchronous successive halving, in which each run counts once, however often it was continued.

    Li et al. (2020), A system for massively parallel hyperparameter tuning, algorithm 2,
    https://arxiv.org/abs/1810.05934. Unlike Optuna's own pruner, it can promote a trial that it has stopped.

    Args:
        min_epochs: Number of epochs of the first rung.
        reduction_factor: One trial in so many goes on after a rung, and so many times the epochs follow.
    """

    def __init__(self, min_epochs: int, reduction_factor: int):
        self.pruner = SuccessiveHalvingPruner(min_resource=min_epochs, reduction_factor=reduction_factor)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return self.pruner.prune(_WithLatestTrials(study), trial)  # type: ignore[arg-type]

    def promotable(self, study: optuna.Study) -> FrozenTrial | None:
        """The stopped trial that would go on if it was asked today: the one that came furthest, and the best of those.

        Args:
            study: A study with one objective.
        """
        latest = _WithLatestTrials(study).get_trials(deepcopy=False)
        sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        by_rung: dict[int, list[FrozenTrial]] = {}
        for trial in latest:
            rung = _last_rung(trial)
            if trial.state == TrialState.PRUNED and rung is not None and not trial.user_attrs.get(INFEASIBLE):
                by_rung.setdefault(rung, []).append(trial)
        for rung in sorted(by_rung, reverse=True):
            best = min(by_rung[rung], key=lambda trial: sign * trial.system_attrs[f"{RUNG}{rung}"])
            if not self._would_prune(study, latest, best, rung):
                return best
        return None

    def _would_prune(self, study: optuna.Study, latest: Sequence[FrozenTrial], trial: FrozenTrial, rung: int) -> bool:
        """The pruner's decision after the last rung of a stopped trial, on a copy of the study."""
        copy = optuna.create_study(direction=study.direction)
        copy.add_trials([other for other in latest if other.number != trial.number and not _is_open(other)])
        attrs = {name: value for name, value in trial.system_attrs.items() if name != f"{RUNG}{rung}"}
        copy.add_trial(
            optuna.create_trial(
                state=TrialState.RUNNING, system_attrs=attrs, intermediate_values=trial.intermediate_values
            )
        )
        return self.pruner.prune(copy, copy.get_trials(deepcopy=False)[-1])


class _WithLatestTrials:
    """A study of which only the latest trial of each run is seen."""

    def __init__(self, study: optuna.Study):
        self.study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self.study, name)

    def get_trials(self, deepcopy: bool = True) -> list[FrozenTrial]:
        return [trials[-1] for trials in runs(self.study.get_trials(deepcopy=deepcopy)).values()]


def _last_rung(trial: FrozenTrial) -> int | None:
    rungs = [int(name.removeprefix(RUNG)) for name in trial.system_attrs if name.startswith(RUNG)]
    return max(rungs, default=None)


def _is_open(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.WAITING, TrialState.RUNNING) and _last_rung(trial) is None


class SweepStudy:
    """A study in a storage, used by one process, or by several on one or more machines.

    Args:
        name: Its name in the storage.
        storage: The storage.
        directions: Of the objectives.
        pruner: Stops trials; None for no pruning.
        seed: Random seed of the sampler.
        sampler: Kind of the sampler, as of `make_sampler`.
        space: The search space; empty if all trials are planned.
    """

    def __init__(
        self,
        name: str,
        storage: BaseStorage,
        directions: Sequence[str],
        *,
        space: SearchSpace,
        sampler: str = "random",
        seed: int = 0,
        pruner: SuccessiveHalving | None = None,
    ):
        self.storage = storage
        self.space = space
        self.kind, self.seed, self.pruner = sampler, seed, pruner
        self.is_shared = isinstance(storage, RDBStorage)
        self.salt = [time.time_ns() % 2**32] if self.is_shared else []  # or all machines would begin with equal trials
        self.study: optuna.Study = patiently(
            lambda: optuna.create_study(
                study_name=name,
                storage=storage,
                directions=["minimize" if each == "minimise" else "maximize" for each in directions],
                pruner=pruner or optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
        )
        self.unclaimed: dict[int, float] = {}  # trials of others that show no sign of life yet, and when we saw them

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {name: values.distribution() for name, values in self.space.items()}

    def trials(self) -> list[FrozenTrial]:
        return patiently(lambda: self.study.get_trials(deepcopy=False))

    def plan(self, key: str, params: dict[str, Any], **attrs: Any) -> None:
        """Adds a trial with these parameters, unless there is one with this key."""
        if all(trial.user_attrs.get(KEY) != key for trial in self.trials()):
            patiently(lambda: self.study.enqueue_trial(params, user_attrs={KEY: key, **attrs}))

    def add_result(self, key: str, params: dict[str, Any], values: Sequence[float], **attrs: Any) -> None:
        """Adds a finished trial with these parameters and values, unless there is a trial with this key."""
        if any(trial.user_attrs.get(KEY) == key for trial in self.trials()):
            return
        trial = optuna.create_trial(
            values=list(values), params=params, distributions=self.distributions, user_attrs={KEY: key, **attrs}
        )
        patiently(lambda: self.study.add_trial(trial))

    def has_waiting(self) -> bool:
        return any(trial.state == TrialState.WAITING for trial in self.trials())

    def has_running(self) -> bool:
        return any(trial.state == TrialState.RUNNING for trial in self.trials())

    def num_ended(self) -> int:
        """Number of runs that wait for nothing."""
        return sum(trials[-1].state.is_finished() for trials in runs(self.trials()).values())

    def best_value(self) -> float | None:
        """The best value of the first objective among finished trials that meet the constraints; None without one."""
        values = [
            trial.values[0]
            for trial in self.trials()
            if trial.state == TrialState.COMPLETE and not trial.user_attrs.get(INFEASIBLE)
        ]
        is_lower_better = self.study.directions[0] == optuna.study.StudyDirection.MINIMIZE
        return (min if is_lower_better else max)(values, default=None)

    def ask(self, is_wanted: Callable[[Trial], bool]) -> Trial | None:
        """The next trial: a waiting one, or else a new one of the sampler.

        Args:
            is_wanted: Whether a new trial is wanted, although other machines have added trials since.

        Returns:
            None if the trial was withdrawn, because it is one too many.
        """
        fresh = sum(not predecessors(trial) for trial in self.trials())
        seed = int(np.random.SeedSequence([self.seed % 2**64, fresh, *self.salt]).generate_state(1)[0])
        self.study.sampler = make_sampler(self.kind, seed)  # anew, so that a resumed sweep goes on as it would have
        trial = patiently(lambda: self.study.ask(self.distributions))
        frozen = self.trials()[trial.number]
        if self._is_double(frozen) or not (predecessors(frozen) or KEY in frozen.user_attrs or is_wanted(trial)):
            patiently(lambda: trial.set_user_attr(WITHDRAWN, True))
            self.tell(trial, state=TrialState.FAIL)
            return None
        return trial

    def _is_double(self, trial: FrozenTrial) -> bool:
        earlier = [each for each in self.trials()[: trial.number] if WITHDRAWN not in each.user_attrs]
        if before := predecessors(trial):
            return any(predecessors(each)[-1:] == before[-1:] for each in earlier)
        key = trial.user_attrs.get(KEY)
        return key is not None and any(each.user_attrs.get(KEY) == key and not predecessors(each) for each in earlier)

    def tell(self, trial: Trial, values: Sequence[float] | None = None, state: TrialState | None = None) -> None:
        """Ends a trial, unless another machine has taken it up and ended it."""
        patiently(lambda: self.study.tell(trial, values, state, skip_if_finished=True))

    def set_attrs(self, trial: Trial, **attrs: Any) -> None:
        """Sets attributes of a trial, unless another machine has ended it."""
        with suppress(UpdateFinishedTrialError):
            for name, value in attrs.items():
                patiently(lambda name=name, value=value: trial.set_user_attr(name, value))  # type: ignore[misc]

    def report(self, trial: Trial, epoch: int, value: float) -> bool | None:
        """Reports the value of an epoch.

        Returns:
            Whether the trial goes on; None if another machine has taken it up.
        """
        try:
            patiently(lambda: trial.report(value, epoch))
            return not (self.pruner and patiently(trial.should_prune))
        except UpdateFinishedTrialError:
            return None

    def release(self, trial: Trial | FrozenTrial) -> None:
        """Ends a trial whose run was interrupted, and adds one that continues it."""
        number, trial_id = trial.number, trial._trial_id
        with suppress(UpdateFinishedTrialError):
            if patiently(lambda: self.storage.set_trial_state_values(trial_id, TrialState.FAIL)):
                self.continue_run(number)

    def continue_run(self, number: int) -> None:
        """Adds a waiting trial that continues the run of the trial with this number."""
        patiently(lambda: continue_later(self.study, self.study.get_trials(deepcopy=False)[number]))

    def promotable(self) -> FrozenTrial | None:
        """A stopped trial that successive halving would not stop today, if there is one."""
        pruner, study = self.pruner, self.study
        return None if pruner is None else patiently(lambda: pruner.promotable(study))

    def constrain(self, trial: Trial, name: str, excess: float) -> None:
        """Sets a constraint of a trial, which is met if the excess is 0 or less."""
        with suppress(UpdateFinishedTrialError):
            patiently(lambda: trial.set_constraint(name, excess))
        if excess > 0:
            self.set_attrs(trial, **{INFEASIBLE: True})

    def take_up(self, own: Sequence[int] = ()) -> list[int]:
        """Adds trials that continue the runs of processes that have died; returns the numbers of their trials.

        A journal has a single process, so all running trials are such ones. In a database they are those whose signs of
        life have ended, and those that never gave one. A trial that failed without a reason was interrupted, too, and
        its process died before it could add another one.

        Args:
            own: Numbers of the trials that this process runs.
        """
        latest = [trials[-1] for trials in runs(self.trials()).values()]
        for trial in latest:
            if trial.state == TrialState.FAIL and not trial.user_attrs.get(REASON):
                self.continue_run(trial.number)
        before = [trial for trial in latest if trial.state == TrialState.RUNNING and trial.number not in own]
        if not before:
            return []
        if self.is_shared:
            patiently(lambda: optuna.storages.fail_stale_trials(self.study))
        for trial in before:
            if not self.is_shared or self._is_abandoned(trial):
                self.release(trial)
        running = {trial.number for trial in self.trials() if trial.state == TrialState.RUNNING}
        return [trial.number for trial in before if trial.number not in running]

    def claim(self, trial: Trial) -> None:
        """Gives the first sign of life of a trial."""
        if isinstance(self.storage, RDBStorage):
            record = self.storage.record_heartbeat
            patiently(lambda: record(trial._trial_id))
        self.set_attrs(trial, **{CLAIMED: trial.number})

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        """Whether the process that made a trial died before its first sign of life, of which Optuna takes no notice."""
        assert isinstance(self.storage, RDBStorage)
        if trial.user_attrs.get(CLAIMED) == trial.number:
            return False
        seen = self.unclaimed.setdefault(trial.number, time.monotonic())
        return time.monotonic() - seen > (self.storage.grace_period or 0)

    @contextmanager
    def signs_of_life(self) -> Iterator[set[int]]:
        """Inside the block, the trials with the ids in the set give signs of life in a database."""
        running: set[int] = set()
        if not isinstance(self.storage, RDBStorage):
            yield running
            return
        storage, ended = self.storage, threading.Event()

        def beat() -> None:
            while not ended.wait(storage.heartbeat_interval):
                for trial_id in tuple(running):
                    with suppress(*OutOfReach):  # until it is back
                        storage.record_heartbeat(trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            ended.set()
            thread.join()
