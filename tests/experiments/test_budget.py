"""What is decided by measurement: precision and compilation, the learning rate, and what fits into a budget."""

import re
from dataclasses import replace

import pytest
import torch
import yaml
from runs import TINY, tiny_images, train

from pixelbayes import experiments
from pixelbayes.checkpoints import checkpoint
from pixelbayes.data import DataConfig
from pixelbayes.experiments import ExperimentConfig, plan
from pixelbayes.experiments.budget import MARGIN, MOST_EPOCHS, WIDTHS, Budget, parse_duration
from pixelbayes.experiments.config import training_module
from pixelbayes.experiments.plan import adopt, find_learning_rate, settle, with_fields
from pixelbayes.experiments.presets import PRESETS
from pixelbayes.experiments.teacher import teacher_config
from pixelbayes.training import estimate as estimating
from pixelbayes.training import range_test as testing
from pixelbayes.training.estimate import Cost
from pixelbayes.training.module import TrainingModule
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.run_folder import RunFolder

BEST = replace(PRESETS["best"], data=DataConfig(levels=8))
WITHOUT_TEACHER = with_fields(BEST, {"training.teacher": ()})
FINDING = with_fields(WITHOUT_TEACHER, {"training.find_learning_rate": True})


@pytest.fixture
def machine(monkeypatch):
    """A machine on which a step takes F / 40 seconds, in bf16 half of that, and compiled 0.8 times as long."""
    measured = []

    def estimate(module):
        config = module.config
        seconds = 0.5
        if isinstance(module, TrainingModule):
            seconds = module.network.config.num_filters / 40 * (0.8 if config.compile else 1.0)
        seconds *= 0.5 if config.precision == "bf16" else 1.0
        measured.append((config.precision, getattr(config, "compile", None)))
        return Cost(
            step_seconds=(seconds,) * len(config.phase_epochs),
            steps=100,
            images_per_step=32,
            validation_seconds=1.0,
            grid_seconds=10.0,
            memory=0.0,
        )

    monkeypatch.setattr(estimating, "estimate", estimate)
    monkeypatch.setattr(plan, "_precisions", lambda config: ("float32", "bf16"))
    return measured


def expected_seconds(config):
    """What a run takes on that machine, with its teacher and its results."""
    step = config.model.num_filters / 40 * (0.5 if config.training.precision == "bf16" else 1.0)
    step *= 0.8 if config.training.compile else 1.0
    grids = -(-config.training.epochs // config.training.sample_every)
    seconds = config.training.epochs * (100 * step + 1) + 10 * grids + 3 + 10 + estimating.RESULTS_SECONDS
    seconds += 100 * step if config.training.find_learning_rate else 0
    if config.training.teacher:
        classifier = 0.25 if config.training.precision == "bf16" else 0.5
        seconds += teacher_config(config).training.epochs * (100 * classifier + 1) + 3 + 10 + estimating.RESULTS_SECONDS
    return seconds


@pytest.mark.parametrize("minutes", [12, 60, 240, 1500])
@pytest.mark.parametrize("config", [BEST, WITHOUT_TEACHER, FINDING])
def test_a_run_uses_its_budget_and_ends_within_it(machine, config, minutes):
    planned = Budget(60.0 * minutes).fit(config, tiny_images())
    limit = 60 * minutes * (1 - MARGIN)
    assert expected_seconds(planned) <= limit
    longer = with_fields(planned, {"training.epochs": planned.training.epochs + 1})
    assert expected_seconds(longer) > limit - 1 or planned.training.epochs == MOST_EPOCHS
    training = planned.training
    assert training.max_seconds < limit
    assert training.warmup_steps <= 0.05 * training.epochs * 100
    assert 1 / (1 - training.ema_decay) <= 0.05 * training.epochs * 100 + 1e-6


def test_more_time_buys_a_wider_network(machine):
    widths = [Budget(3600.0 * hours).fit(WITHOUT_TEACHER, tiny_images()).model.num_filters for hours in (0.1, 1, 2, 9)]
    assert widths == sorted(set(widths))
    assert widths[0] == WIDTHS[0]


def test_only_a_long_run_is_compiled(machine):
    compiled = [Budget(60.0 * minutes).fit(WITHOUT_TEACHER, tiny_images()).training.compile for minutes in (59, 61)]
    assert compiled == [False, True]


def test_a_budget_keeps_what_was_asked_for(machine):
    fixed = {"model.num_filters", "training.epochs", "training.teacher_epochs"}
    planned = Budget(36000.0, fixed).fit(BEST, tiny_images())
    assert planned.model.num_filters == BEST.model.num_filters
    assert planned.training.epochs == BEST.training.epochs
    assert planned.training.teacher_epochs == BEST.training.teacher_epochs


def test_a_budget_in_which_nothing_fits_is_refused(machine):
    with pytest.raises(InputError, match=r"budget is 1 minutes, but one epoch .* takes 1\.35; give more time"):
        Budget(60.0).fit(WITHOUT_TEACHER, tiny_images())


@pytest.mark.parametrize("text", ["30", "0m", "-1h", "1d", "m", "1:30"])
def test_a_budget_that_is_not_a_duration_is_refused(text):
    with pytest.raises(InputError, match="expected a duration such as 45m or 4h"):
        parse_duration(text)


def make_module(config):
    return training_module(config, tiny_images())


@pytest.mark.parametrize(
    ("changes", "expected", "count"),
    [
        ({"epochs": 20}, ("float32", False), 0),  # 20 epochs of a step each are not worth a measurement
        ({"epochs": 2000}, ("bf16", True), 3),
        ({"epochs": 1000, "precision": "float32", "compile": False}, ("float32", False), 0),
        ({"epochs": 1000, "precision": "float32"}, ("float32", True), 2),
        ({"epochs": 2000, "compile": False}, ("bf16", False), 2),
    ],
)
def test_precision_and_compilation_are_measured_where_they_are_open(machine, changes, expected, count):
    config = with_fields(WITHOUT_TEACHER, {f"training.{name}": value for name, value in changes.items()})
    settled = settle(config, make_module)
    assert (settled.training.precision, settled.training.compile) == expected
    assert len(machine) == count
    left_open = {"training.precision": "auto", "training.compile": None}
    assert with_fields(settled, left_open) == with_fields(config, left_open)  # nothing else changed


def test_processes_of_one_run_do_not_measure(machine, monkeypatch):
    monkeypatch.setattr(plan, "is_launched", lambda: True)
    settled = settle(with_fields(ExperimentConfig(), {"training.epochs": 2000}), make_module)
    assert (settled.training.precision, settled.training.compile, machine) == ("float32", False, [])


@pytest.mark.parametrize(("optimizer", "muon_learning_rate"), [("adamw", 0.02), ("muon", 0.0067)])
def test_the_rates_of_a_config_are_multiplied_by_the_factor_that_is_found(optimizer, muon_learning_rate, monkeypatch):
    monkeypatch.setattr(testing, "range_test", lambda module: (0.33333, [{"learning_rate": 1.0, "loss": 2.0}]))
    config = with_fields(FINDING, {"training.optimizer": optimizer})
    found, rows = find_learning_rate(config, make_module)
    decided = {"learning_rate": 0.00067, "muon_learning_rate": muon_learning_rate, "find_learning_rate": False}
    assert found == with_fields(config, {f"training.{name}": value for name, value in decided.items()})
    assert rows == [{"learning_rate": 1.0, "loss": 2.0}]


def test_torchrun_cannot_find_a_learning_rate(monkeypatch):
    monkeypatch.setattr(plan, "is_launched", lambda: True)
    with pytest.raises(InputError, match="find_learning_rate is true, which torchrun cannot do"):
        find_learning_rate(FINDING, make_module)


@pytest.mark.usefixtures("without_plots")
def test_a_run_that_found_its_rate_is_the_run_that_is_given_this_rate(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(testing, "STEPS", 20)
    runs = [RunFolder(tmp_path / name) for name in ("found", "given")]
    assert train(pictures, runs[0].path, "--find-learning-rate", "true", "--epochs", 1) == 0
    rate = re.search(r"found learning_rate (\S+) in a range test of \d+ steps", capsys.readouterr().err)[1]
    assert train(pictures, runs[1].path, "--learning-rate", rate, "--epochs", 1) == 0
    for name in ("best", "last"):
        found, given = (checkpoint.load(getattr(run, name)) for run in runs)
        assert found.digest == given.digest
    assert runs[0].config.read_text() == runs[1].config.read_text()
    assert {path.name for path in runs[0].path.iterdir()} - {path.name for path in runs[1].path.iterdir()} == {
        "range_test.csv"
    }
    resumed = adopt(FINDING, runs[0].path).training
    assert (resumed.find_learning_rate, resumed.learning_rate) == (False, float(rate))


def test_without_a_rate_nothing_is_written(pictures, tmp_path, capsys):
    assert train(pictures, tmp_path / "run", "--find-learning-rate", "true", "--learning-rate", "1e30") == 2
    assert "pixelbayes: find_learning_rate is true, but the loss is finite in only" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_data_without_validation_images_are_refused_before_anything_is_measured(machine, tmp_path):
    data = tiny_images()
    empty = replace(data, splits=data.splits | {"validation": data.splits["validation"].take(torch.arange(0))})
    with pytest.raises(InputError, match="the validation split holds no image"):
        experiments.train(with_fields(WITHOUT_TEACHER, {"training.epochs": 2000}), tmp_path, data=empty)
    assert machine == []
    assert list(tmp_path.iterdir()) == []


def test_a_run_with_a_budget_says_what_it_chose_and_a_resumed_run_keeps_it(pictures, tmp_path, capsys):
    assert train(pictures, tmp_path, "--budget", "5m") == 0
    assert "to end within 5 minutes: " in capsys.readouterr().err
    planned = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert 0 < planned["training"]["max_seconds"] < 300
    assert planned["training"]["epochs"] == int(TINY.split("--epochs ")[1].split()[0])
    assert train(pictures, tmp_path, "--budget", "9m", "--resume") == 0
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == planned
