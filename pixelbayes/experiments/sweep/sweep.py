"""Searches the fields of a config: trains trials in several processes, on one machine or on several."""

import itertools
import math
import os
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages import BaseStorage

from pixelbayes.data import ImageData, load_data
from pixelbayes.experiments.budget import parse_duration
from pixelbayes.experiments.claim import MAY_CHANGE, check_machine
from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.plan import with_fields
from pixelbayes.experiments.sample_quality import FeatureConfig, prepare_features
from pixelbayes.experiments.sweep.config import SweepConfig
from pixelbayes.experiments.sweep.display import Display
from pixelbayes.experiments.sweep.enqueue import enqueue
from pixelbayes.experiments.sweep.importance import given_trials
from pixelbayes.experiments.sweep.phases import Repeats, Search
from pixelbayes.experiments.sweep.records import BEST, TABLE, make_record, ranked_trials
from pixelbayes.experiments.sweep.runner import Runner
from pixelbayes.experiments.sweep.space import SearchSpace, as_scalar, search_space, with_values
from pixelbayes.experiments.sweep.storage import only_sweep_in, open_database, open_journal, patiently, quiet_optuna
from pixelbayes.experiments.sweep.study import SuccessiveHalving, SweepStudy
from pixelbayes.experiments.sweep.trials_table import TrialsTable
from pixelbayes.experiments.teacher import AUTO, make_teacher
from pixelbayes.experiments.workers import STOPPED, WorkerPool, default_workers, stop_signals
from pixelbayes.metrics.registry import METRICS
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.report.sweep import sweep_page, trials_csv
from pixelbayes.report.sweep_record import GivenTrials, SweepRecord
from pixelbayes.utils.config_diff import config_differences
from pixelbayes.utils.errors import InputError, InterruptedRunError
from pixelbayes.utils.files import write_text
from pixelbayes.utils.run_folder import RunFolder

GROUP = "WANDB_RUN_GROUP"  # environment variable that the package of Weights & Biases reads in the workers
SETTINGS = "settings"  # user attribute of a study
FIRST_HALVING = 9  # a trial is stopped after so small a part of its epochs at the earliest
PAGE_SECONDS = 300.0  # between two writings of the page
GRID_LIMIT = 10_000  # combinations


def sweep(
    base: ExperimentConfig,
    config: SweepConfig,
    out: Path,
    *,
    table: TrialsTable | None = None,
    as_results: bool = False,
    remarks: Sequence[str] = (),
) -> SweepRecord:
    """Searches the fields of a config for the best metric on validation, and trains the best trials again.

    Every trial is a run like any other, in a folder of its own. A sweep that was interrupted, or killed, goes on when
    it is called again: the runs that were trained are resumed. Called again with more trials or more time, it goes on
    searching.

    Args:
        base: The config that the searched fields are part of.
        config: What to search.
        out: The folder of the sweep. It receives trials.csv, sweep.json, the page, and the best config as best.yaml.
        table: Trials that are trained before the sampler chooses any.
        as_results: Whether the rows of the table that have results are finished trials.
        remarks: More to know for readers of the page.

    Returns:
        What was found.

    Raises:
        InputError: If the config or the data are faulty, if the folder or the database holds another sweep, or if the
            database cannot be reached.
        InterruptedRunError: If asked to stop; the same call continues.
    """
    started = time.monotonic()
    space = search_space(config.parameters, base)
    deadline = started + parse_duration(config.budget) if config.budget else math.inf
    _check(base, config, space)
    data = load_data(base.data)
    _check_metrics(config, data)
    check_machine(base.training)
    count = config.workers or default_workers(base.training.device)
    name = config.name or out.resolve().name
    run_folders = Path(config.runs) if config.runs else out
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if base.training.logger == "wandb" and GROUP not in os.environ:
            os.environ[GROUP] = name
            stack.callback(os.environ.pop, GROUP)
        stack.enter_context(quiet_optuna())
        signals = stack.enter_context(stop_signals())
        storage: BaseStorage
        if config.storage:
            storage = stack.enter_context(open_database(config.storage, config.heartbeat))
        else:
            stack.enter_context(only_sweep_in(out))
            storage = open_journal(out)
        study = _begin(name, storage, base, config, space, data)
        if config.sampler == "grid":
            config = replace(config, trials=_plan_grid(study, space, config.trials, base.seed))
        further = SweepStudy(f"{name} further seeds", storage, list(config.directions.values()), space={})
        base = _prepared(base, config, space, out, data)
        search = Search(study, base, space, config, run_folders / "runs")
        ranked = partial(ranked_trials, search)
        repeats = Repeats(search, ranked, further, base, space, config, run_folders / "further-seeds")
        metric = METRICS[next(iter(config.directions))]
        shared_data = None if any(field.startswith("data.") for field in space) else data
        pool = stack.enter_context(WorkerPool(count, shared_data, base.training.device))
        display = stack.enter_context(Display(metric.title, metric.format))
        remarks = [*remarks, *(table.remarks if table else ())]
        if table:
            remarks += enqueue(search, table, as_results=as_results)
        for remark in remarks:
            display.say(remark)
        given = given_trials(table, next(iter(config.directions))) if table and as_results else None
        writer = _Writer(search, repeats, base, config, out, remarks, given)
        runner = Runner(
            pool, config, base, shared_data, signals, display, deadline, writer.write_sometimes, search.longest()
        )
        for phase in (search, repeats):
            if not phase.study.is_shared:
                phase.study.take_up()
        try:
            runner.reserve = config.repeat_best * config.repeat_seeds
            in_time = runner.run(search)
            runner.reserve = 0
            if time.monotonic() < deadline:
                repeats.plan()
                in_time &= runner.run(repeats)
        finally:
            record = writer.write()
    if not in_time:
        display.say("the time is up; the same command with more time goes on")
    return record


def _check(base: ExperimentConfig, config: SweepConfig, space: SearchSpace) -> None:
    if base.training.devices > 1:
        raise InputError(
            f"devices is {base.training.devices}, expected 1 in a sweep; several GPUs train several trials, see workers"
        )
    of_images = [name for name in space if name.startswith("data.")]
    if of_images and {"bits_per_dim", "fid"} & set(config.directions):
        raise InputError(
            f"{of_images[0]} is searched, so bits_per_dim and fid of the trials are not comparable; use another metric"
        )


def _check_metrics(config: SweepConfig, data: ImageData) -> None:
    validation = data.split("validation")
    if not len(validation):
        raise InputError(f"{data.source}: the validation split holds no image; give --validation-fraction above 0")
    needs_labels = {"nll", "accuracy"} & set(config.directions)
    if needs_labels and not bool((validation.labels != NO_LABEL).any()):
        raise InputError(
            f"{data.source}: the validation images have no labels, so there is no {min(needs_labels)}; "
            "use the metric bits_per_dim"
        )


def _begin(
    name: str, storage: BaseStorage, base: ExperimentConfig, config: SweepConfig, space: SearchSpace, data: ImageData
) -> SweepStudy:
    """The study of the search: a new one, or the one that was begun with the same settings."""
    least = config.min_epochs or max(1, base.training.epochs // FIRST_HALVING)
    study = SweepStudy(
        name,
        storage,
        list(config.directions.values()),
        space=space,
        sampler=config.sampler,
        seed=base.seed,
        pruner=SuccessiveHalving(least, config.reduction_factor) if config.prunes else None,
    )
    _claim(study, base, config, space, data, name)
    return study


def _claim(
    study: SweepStudy, base: ExperimentConfig, config: SweepConfig, space: SearchSpace, data: ImageData, name: str
) -> None:
    """Writes what the sweep is about into a new study, or checks that the study is about the same."""
    settings: dict[str, Any] = {
        "parameters": {field: str(values) for field, values in space.items()},
        "objectives": list(config.directions),
        "base": base.as_plain(),
        "images": data.fingerprint(),
        "halving": [config.min_epochs, config.reduction_factor] if config.prunes else [],
    }
    before = patiently(lambda: study.study.user_attrs.get(SETTINGS))
    if before is None:
        patiently(lambda: study.study.set_user_attr(SETTINGS, settings))
        return
    changed = [
        field.removeprefix("base.")
        for field in config_differences(before, settings)
        if field.removeprefix("base.") not in MAY_CHANGE
    ]
    if changed:
        where = f"the sweep {name} in the database" if study.is_shared else "the sweep in this folder"
        raise InputError(
            f"{where} was begun with other values of {', '.join(changed)}; repeat its command, or give another "
            + ("--name" if study.is_shared else "--out")
        )


def _plan_grid(study: SweepStudy, space: SearchSpace, trials: int, seed: int) -> int:
    """Adds a trial for each combination of values, at most `trials`; returns their number."""
    grids = [values.grid() for values in space.values()]
    size = math.prod(map(len, grids))
    if size > GRID_LIMIT:
        raise InputError(f"the grid has {size:,} combinations, expected at most {GRID_LIMIT:,}; use another sampler")
    combinations = list(itertools.product(*grids))
    random.Random(seed).shuffle(combinations)
    for combination in combinations[:trials]:
        params = {name: as_scalar(value) for name, value in zip(space, combination, strict=True)}
        study.plan(f"grid {sorted(params.items())}", params)
    return min(trials, size)


def _prepared(
    base: ExperimentConfig, config: SweepConfig, space: SearchSpace, out: Path, data: ImageData
) -> ExperimentConfig:
    """The config of the trials, after what all of them need was trained: features of FID, and a common teacher."""
    if "fid" in config.directions:
        prepare_features(FeatureConfig(features=base.training.fid_features), base.data, data, base.training.device)
    own = [name for name in space if name.startswith(("data.", "augmentation.", "training.teacher"))]
    if AUTO not in base.training.teacher or own:
        return base
    with FileLock(out / ".teacher.lock"):
        try:
            make_teacher(base, out, data)
        except InterruptedRunError as error:
            raise InterruptedRunError(STOPPED, error.signal) from error
    teacher = tuple(str(RunFolder(out).teacher) if each == AUTO else each for each in base.training.teacher)
    return with_fields(base, {"training.teacher": teacher})


class _Writer:
    """Writes what is known of a sweep into its folder.

    Args:
        search: The search.
        repeats: The further seeds.
        base: The config of the trials.
        config: The config of the sweep.
        out: The folder.
        remarks: For readers of the page.
        given: Trials with results from a table.
    """

    def __init__(
        self,
        search: Search,
        repeats: Repeats,
        base: ExperimentConfig,
        config: SweepConfig,
        out: Path,
        remarks: Sequence[str],
        given: GivenTrials | None,
    ):
        self.search, self.repeats, self.base, self.config, self.out = search, repeats, base, config, out
        self.remarks, self.given = tuple(remarks), given
        self.page_at = -math.inf  # on the monotonic clock

    def write_sometimes(self) -> None:
        """Writes the table; the page too, unless it was written a short time ago."""
        record = self._write_tables()
        if time.monotonic() - self.page_at > PAGE_SECONDS:
            self._write_page(record)

    def write(self) -> SweepRecord:
        """Writes everything."""
        record = self._write_tables()
        self._write_page(record)
        if record.best is not None:
            write_text(self.out / BEST, with_values(self.base, self.search.settings_of(record.best)).as_yaml())
            if self.config.runs:
                self._copy(record)
        return record

    def _write_tables(self) -> SweepRecord:
        record = make_record(self.search, self.repeats, self.base, self.config, self.out, self.remarks, self.given)
        record.write(RunFolder(self.out).sweep)
        write_text(self.out / TABLE, trials_csv(record))
        return record

    def _write_page(self, record: SweepRecord) -> None:
        sweep_page(record).write(RunFolder(self.out).page)
        self.page_at = time.monotonic()

    def _copy(self, record: SweepRecord) -> None:
        """Copies the run of the best trial into the folder of the sweep, if it was trained on this machine."""
        (best,) = (trial for trial in record.trials if trial.number == record.best)
        source, target = self.out / best.folder, self.out / "best"
        if not RunFolder(source).best.is_file():
            return
        with tempfile.TemporaryDirectory(dir=self.out) as folder:
            copy = Path(shutil.copytree(source, Path(folder) / "best"))
            if target.exists():
                target.rename(Path(folder) / "before")
            copy.rename(target)
