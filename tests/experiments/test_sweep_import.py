"""Sweeps and tables of trials that other people have."""

import random
from pathlib import Path

import pytest
import yaml
from optuna.distributions import FloatDistribution, IntDistribution

from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.plan import with_fields
from pixelbayes.experiments.presets import PRESETS
from pixelbayes.experiments.sweep.config import SweepConfig
from pixelbayes.experiments.sweep.importance import given_trials, importance
from pixelbayes.experiments.sweep.space import search_space
from pixelbayes.experiments.sweep.trials_table import read_trials
from pixelbayes.experiments.sweep.wandb_format import read_wandb_sweep
from pixelbayes.utils.errors import InputError

BASE = ExperimentConfig()
TRIALS = Path(__file__).parents[3] / "shared" / "reference" / "report_000_trials.csv"

REPORT_002 = """
program: pcnn_train.py
method: bayes
metric:
  name: accuracy
  goal: maximize
parameters:
  batch_size:
    values: [16, 32, 64]
  sample_batch_size:
    values: [8, 16, 24]
  nr_filters:
    values: [40, 60, 80, 100]
  nr_logistic_mix:
    distribution: q_uniform
    min: 5
    max: 25
    q: 5
  nr_resnet:
    min: 1
    max: 3
  lr_decay:
    value: 0.99995
  max_epochs:
    value: 200
"""


@pytest.fixture
def read(tmp_path):
    """Reads a sweep configuration that is given as text or as its content."""

    def read_content(content, base=BASE):
        path = tmp_path / "sweep.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return read_wandb_sweep(path, base)

    return read_content


def sweep(parameters=None, **others):
    metric = {"name": "val_bpd"}
    return {"method": "bayes", "metric": metric, "parameters": parameters or {"lr": {"values": [1e-4, 1e-3]}}} | others


@pytest.fixture
def table(tmp_path):
    """Reads a table of trials that is given as text."""

    def read_text(text, base=BASE):
        path = tmp_path / "trials.csv"
        path.write_bytes(text.encode("utf-8"))
        return read_trials(path, base)

    return read_text


# The hosted service's format


def test_the_sweep_of_report_002_is_read_as_the_report_lists_it(read):
    found = read(REPORT_002)
    space = search_space(found.parameters, BASE)
    assert {name: values.grid() for name, values in space.items()} == {
        "training.batch_size": [16, 32, 64],
        "model.num_filters": [40, 60, 80, 100],
        "model.num_mixtures": [5, 10, 15, 20, 25],
        "model.num_blocks": [1, 2, 3],
    }
    assert found.fixed == {
        "training.learning_rate_decay": 0.99995,
        "training.epochs": 200,
        "training.schedule": "exponential",  # without it, the decay would have no effect
    }
    assert found.options == {"sampler": "tpe", "metric": "accuracy", "prune": False}
    assert "program is ignored, because the sweep trains with pixelbayes" in found.remarks
    ignored = "sample_batch_size is ignored, because it says how many images are drawn at once and changes no result"
    assert ignored in found.remarks
    winner = {"model.num_filters": 80, "model.num_blocks": 2, "model.num_mixtures": 10, "training.batch_size": 16}
    preset = PRESETS["report-002"]
    ours = with_fields(preset, winner | found.fixed | {"training.learning_rate_decay": 0.999995})
    assert ours == preset


def test_nested_parameters_are_fields_with_dotted_names(read):
    model = {"parameters": {"num_filters": {"values": [40, 80]}, "dropout": {"value": 0.25}}}
    found = read(
        sweep({"model": model, "optimizer": {"parameters": {"lr": {"values": [1e-4, 1e-3]}}}, "seed": {"value": 3}})
    )
    assert found.parameters == {"model.num_filters": [40, 80], "training.learning_rate": [1e-4, 1e-3]}
    assert found.fixed == {"model.dropout": 0.25, "seed": 3}
    assert "optimizer.lr is training.learning_rate" in found.remarks


@pytest.mark.parametrize(
    ("field", "options", "expected"),
    [
        ("nr_filters", {"min": 40, "max": 100}, IntDistribution(40, 100)),
        ("nr_filters", {"min": 40.0, "max": 100.0}, IntDistribution(40, 100)),
        ("dropout", {"min": 0.1, "max": 0.5}, FloatDistribution(0.1, 0.5)),
        ("label_dropout", {"min": 0, "max": 1}, FloatDistribution(0, 1, step=1)),
        ("label_dropout", {"distribution": "uniform", "min": 0, "max": 1}, FloatDistribution(0, 1)),
        # multiples of q, as W&B rounds: 0.05 / 0.2 = 0.25 to 0, and 0.75 / 0.2 = 3.75 to 4
        (
            "dropout",
            {"distribution": "q_uniform", "min": 0.05, "max": 0.75, "q": 0.2},
            FloatDistribution(0, 0.8, step=0.2),
        ),
        # e^-6.907755278982137 = 0.001
        (
            "lr",
            {"distribution": "log_uniform", "min": -6.907755278982137, "max": 0},
            FloatDistribution(1e-3, 1, log=True),
        ),
        (
            "lr",
            {"distribution": "log_uniform_values", "min": "1e-4", "max": 0.01},
            FloatDistribution(1e-4, 0.01, log=True),
        ),
        # log(1 / x) goes from 0 to 6.9
        (
            "lr",
            {"distribution": "inv_log_uniform", "min": 0, "max": 6.907755278982137},
            FloatDistribution(1e-3, 1, log=True),
        ),
        (
            "lr",
            {"distribution": "inv_log_uniform_values", "min": 1e-4, "max": 0.01},
            FloatDistribution(1e-4, 0.01, log=True),
        ),
        (
            "batch_size",
            {"distribution": "q_log_uniform_values", "min": 4, "max": 64},
            IntDistribution(4, 64, log=True),
        ),
        (
            "batch_size",
            {"distribution": "q_log_uniform_values", "min": 9, "max": 64, "q": 8},
            IntDistribution(8, 64, step=8),
        ),
    ],
    ids=lambda value: value.get("distribution", "implied") if isinstance(value, dict) else str(value)[:12],
)
def test_a_distribution_has_the_ends_that_the_service_documents(read, field, options, expected):
    (values,) = search_space(read(sweep({field: options})).parameters, BASE).values()
    assert values.distribution() == expected


def test_hyperband_becomes_successive_halving(read):
    found = read(sweep(early_terminate={"type": "hyperband", "min_iter": 5, "eta": 2}, run_cap=40))
    expected = {"sampler": "tpe", "metric": "bits_per_dim", "trials": 40}
    assert found.options == expected | {"prune": True, "min_epochs": 5, "reduction_factor": 2}
    # 27 / 3 and 27 / 9; a third step would be 1
    found = read(sweep(early_terminate={"type": "hyperband", "max_iter": 27, "s": 2}))
    assert (found.options["min_epochs"], found.options["reduction_factor"]) == (3, 3)
    assert {*found.options} <= {*SweepConfig.__dataclass_fields__}


def test_a_grid_without_run_cap_has_all_combinations(read):
    found = read(sweep({"nr_filters": {"values": [40, 60, 80]}, "nr_resnet": {"min": 1, "max": 3}}, method="grid"))
    assert (found.options["sampler"], found.options["trials"]) == ("grid", 9)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            sweep(metric={"name": "val_accuracy"}),
            "metric val_accuracy has no goal, which means minimize, but higher is",
        ),
        (sweep(metric={"name": "fid", "goal": "maximize"}), "metric fid has goal maximize, but lower is better; write"),
        (
            sweep(metric={"name": "train_bpd"}),
            "metric is train_bpd, which is not measured on validation; expected one of",
        ),
        (sweep(method="custom"), "method is 'custom', expected bayes, random or grid"),
        ({"method": "random"}, "there is no parameters"),
        (sweep(paramters={}), "unknown key paramters; did you mean parameters?"),
        (sweep({"nr_fliters": {"values": [40]}}), "unknown field nr_fliters; did you mean nr_filters?"),
        (sweep({"nr_filters": 40}), "parameters.nr_filters is 40, expected keys and values below it"),
        (sweep({"nr_filters": {"vales": [40]}}), "nr_filters has neither values nor min and max"),
        (sweep({"nr_filters": {"min": 40}}), "nr_filters has distribution uniform without max"),
        (sweep({"nr_filters": {"values": [40, 50.5]}}), "model.num_filters is 50.5, expected a whole number"),
        (sweep({"nr_filters": {"values": [40, 0]}}), "num_filters is 0"),
        (sweep({"nr_filters": {"value": 40}, "num_filters": {"value": 50}}), "are both model.num_filters; remove one"),
        (sweep({"seed": {"values": [0, 1]}}), "seed cannot be searched"),
        (
            sweep({"dropout": {"distribution": "normal", "mu": 0.4, "sigma": 0.1}}),
            "normal, which has no counterpart; write distribution: uniform, such as with min: 0.2 and max: 0.6",
        ),
        (sweep({"lr": {"distribution": "log_uniform", "min": 10, "max": 1000}}), "log_uniform_values takes the ends"),
        (sweep({"lr": {"min": 1e-4, "max": 0.1}}, method="grid"), "has no grid; give values, a step"),
        (sweep(run_cap=0), "run_cap is 0, expected a whole number of at least 1"),
        (
            sweep(early_terminate={"type": "envelope", "min_iter": 3}),
            "type of early_terminate is 'envelope', expected hyper",
        ),
        (sweep(early_terminate={"type": "hyperband"}), "min_iter of early_terminate is None, expected a whole number"),
        ("method: [bayes", "line 1: not YAML"),
    ],
    ids=range(21),
)
def test_a_fault_in_the_file_is_one_line_with_the_remedy(read, content, message):
    with pytest.raises(InputError) as error:
        read(content)
    (line,) = str(error.value).splitlines()
    assert "sweep.yaml: " in line
    assert message in line


# Tables of trials


def test_a_table_of_settings_and_results_is_read_whatever_divides_it(table):
    for mark in ",;\t":
        found = table(
            "\ufefftrial,nr_filters,Batch-Size,lr_decay,sample_batch_size,val_accuracy,classification_accuracy,colour\r\n"
            "7,40,8,0.99,16,0.75,0.74,red\r\n"
            "8,60,,0.99,50,,0.7,\r\n\r\n".replace(",", mark)
        )
        first, second = found.rows
        shared = {"training.schedule": "exponential", "training.learning_rate_decay": 0.99}
        assert first.settings == shared | {"model.num_filters": 40, "training.batch_size": 8}
        assert second.settings["training.batch_size"] == BASE.training.batch_size
        assert (first.label, first.results, first.without_effect) == (
            "7",
            {"accuracy": 0.75},
            {"sample_batch_size": 16},
        )
        assert second.results == {}
        assert "ignored, because neither a field nor a result on validation: colour" in found.remarks
        assert "classification_accuracy is ignored, because another column is accuracy" in found.remarks


def test_the_table_of_a_sweep_is_read_and_only_finished_trials_have_results(table):
    found = table(
        "number,state,model.num_filters,data.image_size,accuracy,nll,bits_per_dim,fid,parameters,seconds,accuracy_low,"
        "accuracy_high,epochs,origin,resumed,promoted,reason,folder\n"
        '0,finished,40,"[8, 8]",0.9,0.3,1.5,,12345,60.5,0.85,0.95,27,search,0,False,,trials/0\n'
        '1,pruned,60,"[8, 8]",0.5,1.3,2.5,,23456,7,0.4,0.6,3,search,0,False,worse than others,trials/1\n'
    )
    first, second = found.rows
    assert first.settings == {"model.num_filters": 40, "data.image_size": (8, 8)}
    assert first.results == {"accuracy": 0.9, "nll": 0.3, "bits_per_dim": 1.5, "parameters": 12345, "seconds": 60.5}
    assert second.settings["model.num_filters"] == 60
    assert second.results == {}
    assert found.remarks == ("the results of these trials do not count, because they did not finish: 1",)


def test_the_luck_of_trials_with_equal_settings_is_said(table):
    # the squares of the deviations are 2 * 0.01 ** 2 and 2 * 0.02 ** 2, of one degree of freedom each
    found = table("lr,sample_batch_size,acc\n1e-3,8,0.70\n1e-3,16,0.72\n2e-3,8,0.80\n2e-3,16,0.84\n4e-3,16,0.1\n")
    said = "trials with equal settings (1, 2; 3, 4) have these standard deviations, which are luck: accuracy 0.022"
    assert found.remarks[-1] == said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nr_filters,lr\n40,fast\n", "trials.csv line 2: lr is 'fast', expected a number; correct the cell"),
        ("nr_filters,acc\n40,good\n", "trials.csv line 2: acc is 'good', expected a number; correct the cell"),
        ("nr_filters,lr\n\n40,0.1\n0,0.1\n", "trials.csv line 4: num_filters is 0"),
        ("nr_filters,lr\n40,0.1,2\n", "trials.csv line 2: 3 cells in 2 columns"),
        ("nr_filters,num_filters\n40,40\n", "trials.csv: two columns are model.num_filters; remove one"),
        ("acc,colour\n1,red\n", "trials.csv: no column is a field"),
        ("nr_filters,lr\n", "trials.csv: there are no trials"),
    ],
    ids=range(7),
)
def test_a_fault_in_a_table_is_one_line_with_its_place(table, text, message):
    with pytest.raises(InputError) as error:
        table(text)
    (line,) = str(error.value).splitlines()
    assert message in line


# Importance


def test_the_parameter_that_decides_is_above_luck_and_one_that_does_nothing_is_not():
    draw = random.Random(0)
    rows = [
        {"rate": 10 ** draw.uniform(-4, -1), "width": draw.choice([8, 9, 64]), "name": draw.choice("ab")}
        for _ in range(40)
    ]
    values = [row["rate"] for row in rows]
    given = {"rate": FloatDistribution(1e-4, 0.1, log=True), "width": IntDistribution(8, 16)}  # 64 is outside
    found = importance(rows, values, "minimise", given)
    assert next(iter(found)) == "rate"
    assert found["rate"].value > 2 * found["rate"].by_luck
    assert all(found[name].value < found[name].by_luck for name in ("width", "name"))
    assert sum(each.value for each in found.values()) == pytest.approx(1)


def test_the_importance_is_that_for_the_best_trials():
    rows = [{"lowers": index % 8, "raises": index // 8} for index in range(64)]
    values = [-9 if row["lowers"] == 0 else 9 if row["raises"] == 0 else sum(row.values()) % 5 for row in rows]
    for direction, name in (("minimise", "lowers"), ("maximise", "raises")):
        found = importance(rows, values, direction)
        assert [each for each in found if found[each].value > found[each].by_luck] == [name]


def test_too_few_trials_or_parameters_have_no_importance():
    rows = [{"a": index, "b": index % 3, "c": 1} for index in range(10)]
    values = list(range(10))
    assert set(importance(rows, values, "minimise")) == {"a", "b"}
    assert importance(rows[:9], values[:9], "minimise") == {}
    assert importance([{"a": row["a"], "c": 1} for row in rows], values, "minimise") == {}


@pytest.mark.skipif(not TRIALS.is_file(), reason="the trials of report 000 are not in ../shared/reference")
def test_of_report_000_the_epochs_matter_and_the_number_of_images_drawn_at_once_does_not():
    table = read_trials(TRIALS, BASE)
    given = given_trials(table, "bits_per_dim")
    assert [trial.number for trial in given.trials] == list(range(1, 34))
    assert given.trials[26].values == {"accuracy": 0.75391, "bits_per_dim": 4.756, "fid": 13.293749}
    assert next(iter(given.importance)) == "training.epochs"
    assert given.importance["training.epochs"].value > given.importance["training.epochs"].by_luck
    assert given.without_effect == ("sample_batch_size",)
    assert given.importance["sample_batch_size"].value < given.importance["sample_batch_size"].by_luck
    assert any("trials 32, 33 have other settings and equal results" in remark for remark in table.remarks)
