"""Trains the trials of a phase in the workers of a pool, until none is left."""

import math
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna import Trial
from optuna.trial import TrialState

from pixelbayes.data import ImageData
from pixelbayes.evaluation.history import read_history
from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.sweep.config import SweepConfig
from pixelbayes.experiments.sweep.display import Display, WorkerState
from pixelbayes.experiments.sweep.phases import Phase, Search, TrialEntry
from pixelbayes.experiments.sweep.study import predecessors
from pixelbayes.experiments.workers import POLL_SECONDS, STOPPED, EpochEnded, Job, JobEnded, WorkerPool
from pixelbayes.plots.trials import as_text
from pixelbayes.utils.errors import InputError, InterruptedRunError

HISTORY = {"nll": "val/nll", "accuracy": "val/accuracy", "bits_per_dim": "val/bits_per_dim"}
"""The column of the history with each metric."""


def measured(metrics: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """The values of a finished run by metric, and their 95% intervals.

    Args:
        metrics: As from `train`.
    """
    posterior = metrics.get("calibrated") or metrics
    files = {
        "accuracy": metrics,
        "nll": posterior,
        "bits_per_dim": metrics,
        "fid": metrics.get("quality") or {},
        "parameters": metrics,
    }
    values = {name: float(file[name]) for name, file in files.items() if file.get(name) is not None}
    intervals = {
        name: (float(low), float(high))
        for name, file in files.items()
        if name in values and file.get(f"{name}_interval") is not None
        for low, high in [file[f"{name}_interval"]]
    }
    return values, intervals


@dataclass
class Running:
    """A trial that a worker trains.

    Args:
        trial: The trial.
        job: Its run.
        known: Epochs that were reported already.
        reason: Why it was stopped.
        is_lost: Whether another machine has taken it up.
    """

    trial: Trial
    job: Job
    known: set[int]
    reason: str = ""
    is_lost: bool = False


@dataclass
class Runner:
    """Trains the trials of phases.

    Args:
        pool: The workers.
        config: The config of the sweep.
        base: The config that the searched fields are part of.
        data: The images; None if each run loads its own.
        signals: Receives the numbers of signals that ask to stop.
        display: Shows the state.
        deadline: When to stop, on the monotonic clock.
        changed: Called when a trial has ended.
    """

    pool: WorkerPool
    config: SweepConfig
    base: ExperimentConfig
    data: ImageData | None
    signals: list[int]
    display: Display
    deadline: float = math.inf
    changed: Callable[[], None] = lambda: None
    longest: float = 0.0  # seconds of a run that was trained to its end
    reserve: int = 0  # runs for which time is to be left, up to half of it
    started: float = field(default_factory=time.monotonic)
    running: dict[int, Running] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """The first objective."""
        return next(iter(self.config.directions))

    def run(self, phase: Phase) -> bool:
        """Trains all trials of a phase.

        Returns:
            Whether they have ended; False if the time is up.

        Raises:
            InterruptedRunError: After a signal. The runs are saved, and their trials wait in the study.
            OSError: If a file cannot be read or written.
        """
        study, looked = phase.study, -math.inf
        with study.signs_of_life() as alive:
            try:
                while True:
                    if time.monotonic() - looked > (self.config.heartbeat if study.is_shared else math.inf):
                        looked = time.monotonic()
                        own = [each.trial.number for each in self.running.values()]
                        for number in study.take_up(own):
                            self.display.say(f"trial {number} was interrupted; its run goes on")
                    self._fill(phase, alive)
                    if self.signals:
                        raise InterruptedRunError(STOPPED, self.signals[0])
                    if time.monotonic() > self.deadline:
                        return False
                    if not self.running:
                        if not phase.has_next() and not study.has_running():
                            return True
                        if self.is_too_late():
                            return False
                        time.sleep(POLL_SECONDS)
                        continue
                    for event in self.pool.events(POLL_SECONDS):
                        self._handle(phase, event, alive)
                    self._refresh(phase)
            finally:
                if self.running:
                    self.pool.stop()
                    for each in self.running.values():
                        study.release(each.trial)
                    self.running.clear()

    def is_too_late(self) -> bool:
        """Whether a run that starts now would not end in time, and leave time for those in reserve."""
        rounds = math.ceil(self.reserve / len(self.pool.workers))
        reserved = min(rounds * self.longest, (self.deadline - self.started) / 2)
        return time.monotonic() + self.longest + reserved > self.deadline

    def _fill(self, phase: Phase, alive: set[int]) -> None:
        """Gives trials to idle workers."""
        for worker in self.pool.idle:
            if self.signals or self.is_too_late() or not phase.has_next() or (trial := phase.ask()) is None:
                break
            self._start(phase, worker, trial, alive)

    def _start(self, phase: Phase, worker: int, trial: Trial, alive: set[int]) -> None:
        study = phase.study
        study.claim(trial)
        alive.add(trial._trial_id)
        study.set_attrs(trial, worker=f"{socket.gethostname()}/{worker}", reason="", infeasible=False)
        try:
            job = phase.job(trial)
            entry = job.entry
            assert isinstance(entry, TrialEntry)
            study.set_attrs(trial, folder=job.folder.path.name)
            if reason := self._too_large(phase, trial):
                study.set_attrs(trial, reason=reason)
                study.tell(trial, state=TrialState.PRUNED)
                alive.discard(trial._trial_id)
                self.display.say(f"{entry.name}: {reason}")
                return
        except InputError as error:
            self._fail(phase, trial, f"trial {trial.number}", str(error), alive)
            return
        frozen = study.trials()[trial.number]
        self.running[worker] = Running(trial, job, set(frozen.intermediate_values))
        after = f" after epoch {frozen.last_step}" if frozen.last_step else ""
        again = f" again{after}" if predecessors(frozen) else ""
        settings = ", ".join(f"{name.rpartition('.')[2]} {as_text(value)}" for name, value in trial.params.items())
        self.display.workers[worker] = WorkerState(entry.name, settings, entry.config.training.epochs)
        if not self.display.live:
            self.display.say(f"{entry.name} starts{again}" + f": {settings}" * bool(settings))
        self.pool.start(worker, job)

    def _too_large(self, phase: Phase, trial: Trial) -> str:
        """Sets the constraint of the number of parameters; says why the trial violates it."""
        most = self.config.max_parameters
        if not (most and isinstance(phase, Search)):
            return ""
        count = phase.num_parameters(trial, self.data)
        if count is None:
            return ""
        phase.study.constrain(trial, "parameters", count - most)
        return f"not trained: {count:,} parameters, at most {most:,} are allowed" if count > most else ""

    def _handle(self, phase: Phase, event: EpochEnded | JobEnded, alive: set[int]) -> None:
        running = self.running[event.worker]
        if isinstance(event, EpochEnded):
            self.pool.answer(event.worker, self._goes_on(phase, running, event))
            return
        del self.running[event.worker]
        took = time.monotonic() - self.display.workers.pop(event.worker).started
        if not running.is_lost:
            self._end(phase, running, event, took)
        alive.discard(running.trial._trial_id)
        self.changed()

    def _goes_on(self, phase: Phase, running: Running, event: EpochEnded) -> bool:
        """Reports an epoch; returns whether its run goes on."""
        epoch, value = int(event.row["epoch"]), event.row.get(HISTORY.get(self.metric, ""), math.nan)
        state = self.display.workers[event.worker]
        state.epoch, state.value = epoch, None if math.isnan(value) else value
        if epoch in running.known:
            return True
        running.known.add(epoch)
        if not math.isnan(value) and len(self.config.directions) == 1:
            decision = phase.study.report(running.trial, epoch, value)
            running.is_lost = decision is None
            if decision is False and phase.prunes and epoch < state.epochs:
                running.reason = f"stopped by successive halving after epoch {epoch}"
            if running.is_lost or running.reason:
                return False
        most = self.config.max_seconds
        expected = event.row["seconds"] * state.epochs
        if most and epoch == 1 and expected > most and isinstance(phase, Search):
            phase.study.constrain(running.trial, "seconds", expected - most)
            running.reason = (
                f"stopped after epoch 1: {state.epochs} epochs would take {expected:.0f} s, more than {most:.0f}"
            )
            return False
        return True

    def _end(self, phase: Phase, running: Running, event: JobEnded, took: float) -> None:
        study, trial, name = phase.study, running.trial, running.job.entry.name
        seconds = sum(row["seconds"] for row in read_history(running.job.folder.history))
        values, intervals = measured(event.metrics)
        values["seconds"] = seconds
        reason = event.failure or (running.reason if event.stopped_early else "")
        study.set_attrs(trial, metrics=values, intervals=intervals, reason=reason)
        if event.stopped_early:
            study.tell(trial, state=TrialState.PRUNED)
            self.display.say(f"{name}: {running.reason}")
            return
        missing = [metric for metric in self.config.directions if not math.isfinite(values.get(metric, math.nan))]
        if event.failure or missing:
            reason = event.failure or f"{' and '.join(missing)} could not be measured"
            self._fail(phase, trial, name, reason, set())
            return
        if self.config.max_seconds and isinstance(phase, Search):
            study.constrain(trial, "seconds", seconds - self.config.max_seconds)
        self.longest = max(self.longest, took)
        study.tell(trial, [values[metric] for metric in self.config.directions], TrialState.COMPLETE)
        found = ", ".join(f"{metric} {values[metric]:.4g}" for metric in self.config.directions)
        self.display.say(f"{name} has finished: {found}")

    def _fail(self, phase: Phase, trial: Trial, name: str, reason: str, alive: set[int]) -> None:
        phase.study.set_attrs(trial, reason=reason)
        phase.study.tell(trial, state=TrialState.FAIL)
        alive.discard(trial._trial_id)
        self.display.say(f"{name} has failed: {reason.splitlines()[0]}")

    def _refresh(self, phase: Phase) -> None:
        if not self.display.live:
            return
        planned, ended = phase.planned(), phase.study.num_ended()
        left = ""
        if self.longest:  # which halving may make shorter
            minutes = self.longest * max(0, planned - ended) / len(self.pool.workers) / 60
            left = f", at most {minutes:.0f} minutes left"
        best = phase.study.best_value()
        found = "" if best is None else f"; best {self.metric} so far {self.display.format_value(best)}"
        self.display.summary = f"{phase.title}: {ended} of {planned} runs have ended{left}{found}"
        self.display.refresh()
