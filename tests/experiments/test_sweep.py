"""Sweeps: trials that are killed, stopped, promoted and repeated; and what is refused."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import fake_trials
import optuna
import pytest
import yaml
from fake_trials import BASE, fake_base, fake_sweep, nll_after
from optuna.trial import TrialState

from pixelbayes.cli import main
from pixelbayes.evaluation.history import read_history
from pixelbayes.experiments.sweep import SweepConfig, parse_param, read_trials
from pixelbayes.experiments.sweep.display import Display
from pixelbayes.experiments.sweep.records import compare_repeats
from pixelbayes.experiments.sweep.runner import Runner
from pixelbayes.experiments.sweep.space import Choice, Range, search_space
from pixelbayes.experiments.sweep.storage import JOURNAL, only_sweep_in
from pixelbayes.experiments.sweep.study import SuccessiveHalving
from pixelbayes.report.sweep_record import SweepRecord
from pixelbayes.utils.errors import InputError, InterruptedRunError
from pixelbayes.utils.run_folder import RunFolder


def start(out, **options):
    """A sweep of fake trials in a process of its own, whose epochs take some time."""
    code = [sys.executable, fake_trials.__file__, str(out), json.dumps(options)]
    environment = os.environ | {"PAUSE": "0.2", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(code, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)


def trained(out):
    """The epochs that were trained, by run, with the process of each."""
    lines = {path.parent.name: path.read_text().split() for path in Path(out).glob("*/*/trained.txt")}
    return {name: list(zip(map(int, words[::2]), map(int, words[1::2]), strict=True)) for name, words in lines.items()}


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def check_all_accounted(record, out, trials):
    """Every trial has ended, and no epoch of any run was trained twice or left out."""
    assert len(record.trials) == trials
    assert {trial.state for trial in record.trials} <= {"finished", "pruned"}
    for name, epochs in trained(out).items():
        assert [epoch for epoch, _ in epochs] == list(range(1, len(epochs) + 1)), name
    for trial in record.trials:
        assert trial.progress[-1][0] == len(trained(out)[f"trial-{trial.number:04d}"])
        if trial.state == "finished":
            config = replace(
                BASE,
                model=replace(BASE.model, num_filters=trial.settings["model.num_filters"]),
                training=replace(BASE.training, learning_rate=trial.settings["training.learning_rate"]),
            )
            assert trial.values["nll"] == pytest.approx(nll_after(config, 0, 9))


@pytest.fixture
def slow_epochs(monkeypatch):
    """Gives a test the time to interrupt a trial."""
    monkeypatch.setenv("PAUSE", "0.2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep of six trials with one worker: its folder and record."""
    out = tmp_path_factory.mktemp("sweep") / "sweep"
    return out, fake_sweep(out)


@pytest.mark.slow
def test_the_best_trials_are_repeated_and_the_best_config_can_be_trained(finished, capsys):
    out, record = finished
    check_all_accounted(record, out, trials=6)
    best = min(record.finished, key=lambda trial: trial.values["nll"])
    assert Counter(repeat.number for repeat in record.repeats)[best.number] == 2
    assert {repeat.seed for repeat in record.repeats} == {1, 2}
    assert record.comparisons[0].number == record.best
    assert main(["train", "--config", str(out / "best.yaml"), "--print-config"]) == 0
    assert f"num_filters: {best.settings['model.num_filters']}" in capsys.readouterr().out
    assert SweepRecord.read(out / "sweep.json") == record


@pytest.mark.slow
def test_a_finished_sweep_trains_nothing_again_and_goes_on_with_more_trials(finished, tmp_path):
    out, record = finished
    copy = shutil.copytree(out, tmp_path / "sweep")
    before = trained(copy)
    assert fake_sweep(copy).trials == record.trials
    assert trained(copy) == before
    more = fake_sweep(copy, trials=7, repeat_best=0)
    check_all_accounted(more, copy, trials=7)
    assert [trial.settings for trial in more.trials[:6]] == [trial.settings for trial in record.trials]


@pytest.mark.slow
def test_a_sweep_whose_process_is_killed_goes_on_as_if_nothing_had_happened(finished, tmp_path):
    process = start(tmp_path / "sweep")
    wait_for(lambda: len(trained(tmp_path / "sweep").get("trial-0000", ())) >= 2)
    process.kill()
    process.wait()
    record = fake_sweep(tmp_path / "sweep")
    check_all_accounted(record, tmp_path / "sweep", trials=6)
    settings = [[trial.settings for trial in each.trials] for each in (record, finished[1])]
    assert settings[0] == settings[1]
    assert record.trials[0].resumed == 1


@contextlib.contextmanager
def once(condition, action):
    """Inside the block, another thread does something as soon as a condition holds."""
    thread = threading.Thread(target=lambda: (wait_for(condition), action()))
    thread.start()
    yield
    thread.join()


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(tmp_path, slow_epochs):
    out = tmp_path / "sweep"
    with once(
        lambda: trained(out).get("trial-0000"),
        lambda: os.kill(trained(out)["trial-0000"][-1][1], signal.SIGKILL),
    ):
        record = fake_sweep(out, trials=1, repeat_best=0)
    check_all_accounted(record, out, trials=1)
    assert len({worker for _, worker in trained(out)["trial-0000"]}) == 2


@pytest.mark.slow
def test_a_sweep_that_is_asked_to_stop_saves_its_trials_and_goes_on(tmp_path, slow_epochs):
    out = tmp_path / "sweep"
    with (
        once(lambda: trained(out).get("trial-0000"), lambda: os.kill(os.getpid(), signal.SIGTERM)),
        pytest.raises(InterruptedRunError, match="the same command continues"),
    ):
        fake_sweep(out, trials=2, repeat_best=0)
    assert [trial.state for trial in SweepRecord.read(out / "sweep.json").trials] == ["waiting"]
    check_all_accounted(fake_sweep(out, trials=2, repeat_best=0), out, trials=2)


@pytest.mark.slow
def test_a_trial_that_fails_is_a_row_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("FAILS", "4")
    record = fake_sweep(
        tmp_path / "sweep",
        sampler="grid",
        trials=4,
        repeat_best=0,
        prune=False,
        parameters={"model.num_filters": [4, 8]},
        workers=1,
    )
    (failed,) = (trial for trial in record.trials if trial.state == "failed")
    assert failed.settings == {"model.num_filters": 4}
    assert failed.reason == "no such luck"
    assert [trial.settings["model.num_filters"] for trial in record.finished] == [8]


@pytest.mark.slow
def test_constraints_keep_a_trial_from_being_trained_or_chosen(tmp_path):
    options = {"sampler": "grid", "prune": False, "repeat_best": 0}
    record = fake_sweep(tmp_path / "size", max_parameters=30_000, parameters={"model.num_filters": [4, 32]}, **options)
    small, large = sorted(record.trials, key=lambda trial: trial.settings["model.num_filters"])
    assert (small.state, large.state) == ("finished", "pruned")
    assert large.infeasible
    assert large.reason.startswith("not trained: ")
    assert record.best == small.number
    slow = fake_sweep(tmp_path / "time", max_seconds=20.0, parameters={"training.epochs": [9, 30]}, **options)
    short, long = sorted(slow.trials, key=lambda trial: trial.settings["training.epochs"])
    assert long.reason == "stopped after epoch 1: 30 epochs would take 30 s, more than 20"
    assert slow.best == short.number


def study_of(values, *, state=TrialState.PRUNED):
    """A study in memory whose trials have the first rung with these values, and ended there."""
    study = optuna.create_study()
    for value in values:
        attrs = {"completed_rung_0": value}
        study.add_trial(
            optuna.create_trial(state=state, value=value, intermediate_values={1: value}, system_attrs=attrs)
        )
    return study


def test_a_stopped_trial_is_promoted_once_enough_others_are_worse():
    halving = SuccessiveHalving(1, 3)
    study = study_of([0.5, 0.4, 0.6, 0.7, 0.8])
    study.add_trial(
        optuna.create_trial(
            state=TrialState.COMPLETE,
            value=0.1,
            intermediate_values={1: 0.1, 3: 0.1},
            system_attrs={"completed_rung_0": 0.1, "completed_rung_1": 0.1},
        )
    )
    assert halving.promotable(study).number == 1  # the second of six, of which a third go on
    study.add_trial(
        optuna.create_trial(
            state=TrialState.PRUNED, value=0.3, intermediate_values={1: 0.3}, system_attrs={"completed_rung_0": 0.3}
        )
    )
    assert halving.promotable(study).number == 6  # the second of seven
    assert halving.promotable(study_of([0.5, 0.4], state=TrialState.COMPLETE)) is None


def test_the_order_of_repeated_trials_follows_from_the_further_seeds_alone():
    values = {3: [0.80, 0.82], 5: [0.90, 0.92], 8: [0.905, 0.905]}
    best, second, third = compare_repeats(values, "maximise")
    assert (best.number, second.number, third.number) == (5, 8, 3)
    deviation = (0.0004 / 3) ** 0.5  # two squares of 0.01 twice, over three degrees of freedom
    assert best.interval[1] - best.mean == pytest.approx(3.1824 * deviation / 2**0.5, rel=1e-4)
    assert second.as_good
    assert not third.as_good
    assert compare_repeats({3: [0.8], 5: [0.9]}, "maximise") == []


def test_evenly_spaced_numbers_are_a_range_with_a_step_and_others_are_categories():
    space = search_space(dict(map(parse_param, ["num_filters=40,60,80", "batch_size=16,64,32"])), BASE)
    even, uneven = (values.distribution() for values in space.values())
    assert (even.low, even.high, even.step) == (40, 80, 20)
    assert uneven.choices == (16, 64, 32)


def test_a_field_has_values_of_its_own_type():
    parameters = [
        "learning_rate=1e-4..3e-3:log",
        "dropout=0,0.5",
        "fusion=film,class-head:hidden=16",
        "image_size=[8,8]",
    ]
    assert search_space(dict(map(parse_param, parameters)), BASE) == {
        "training.learning_rate": Range(1e-4, 3e-3, log=True),
        "model.dropout": Choice((0.0, 0.5)),
        "model.fusion": Choice(("film", "class-head:hidden=16")),
        "data.image_size": Choice(((8, 8),)),
    }


def test_a_value_that_needs_another_searched_field_is_possible():
    space = {"training.weight_decay": [0.0, 0.1], "training.optimizer": ["adam", "adamw"]}
    assert search_space(space, BASE)


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ("num_fliters=4,8", "unknown field num_fliters; did you mean num_filters?"),
        ("dropout=", "--param dropout=: expected values such as 40,60,80 or a range"),
        ("dropout=0.5..0.1", "model.dropout: the range 0.5..0.1 is empty"),
        ("dropout=0..0.5:log", "model.dropout: the logarithmic range 0..0.5:log goes through zero"),
        ("dropout=0.5,1.5", "dropout is 1.5, expected a probability"),
        ("dropout=0..1.5", "dropout is 1.5, expected a probability"),
        ("num_filters=4.5,8", "model.num_filters is 4.5, expected a whole number"),
        ("num_filters=4,4", "model.num_filters has a value twice"),
        ("optimizer=adam..muon", "training.optimizer takes no numbers"),
        ("dropout=0..0.5:linear", "unknown option 'linear'; expected log or step=X"),
        ("seed=1,2", "seed cannot be searched"),
        ("image_size=[8,8],[6,6]", "data.image_size is searched, so bits_per_dim and fid"),
    ],
    ids=lambda text: text.split("=")[0] if "=" in text else "",
)
def test_a_faulty_parameter_is_one_line(param, message, capsys, tmp_path):
    options = ["--preset", "digits", "--param", param, "--metric", "bits_per_dim", "--out", str(tmp_path / "sweep")]
    assert main(["sweep", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": {}}, "no field is searched"),
        ({"parameters": {"model.num_filters": [4, 64]}}, "begun with other values of parameters.model.num_filters"),
        ({"epochs": 5}, "begun with other values of training.epochs; repeat its command, or give another --out"),
        ({"objectives": ("nll", "accuracy")}, "begun with other values of objectives"),
        ({"storage": "nonsense"}, "storage nonsense: not the URL of a database"),
        ({"storage": "postgresql+nope://host/name"}, "not the URL of a database"),
        ({"storage": "postgresql+psycopg://me:secret@127.0.0.1:9/name"}, "storage postgresql+psycopg://me@127.0.0.1:9"),
        ({"sampler": "grid"}, "the range 0.0001..0.01:log has no grid"),
    ],
    ids=["nothing", "parameters", "base", "objectives", "no-url", "no-driver", "no-server", "no-grid"],
)
@pytest.mark.slow
def test_what_cannot_be_searched_is_refused_in_one_line(options, message, finished):
    with pytest.raises(InputError, match=message.replace("+", r"\+")) as refused:
        fake_sweep(finished[0], **options)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_torn_last_line_of_the_journal_is_set_aside_and_a_damaged_line_is_an_error(finished, capsys):
    out, record = finished
    journal = out / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 5, "worker')
    again = fake_sweep(out)
    assert [trial.values for trial in again.trials] == [trial.values for trial in record.trials]
    assert "was not written to its end" in capsys.readouterr().err.replace("\n", " ")
    assert (out / "journal.torn").read_text() == '{"op_code": 5, "worker\n'
    journal.write_bytes(whole[:10] + whole[11:])
    with pytest.raises(InputError, match=r"journal\.log: line 1 is damaged; restore the file"):
        fake_sweep(out)
    journal.write_bytes(whole)


def test_a_second_process_in_the_same_folder_is_refused(tmp_path):
    with only_sweep_in(tmp_path), pytest.raises(InputError, match="another process runs the sweep"):
        fake_sweep(tmp_path)


@pytest.mark.slow
def test_machines_share_a_sweep_although_one_is_killed_and_the_server_restarts(postgres, tmp_path, slow_epochs):
    out, options = tmp_path / "sweep", {"storage": postgres.url, "trials": 10, "workers": 2, "name": "shared"}
    first, second = (start(out, **options) for _ in range(2))
    wait_for(lambda: len({pid for epochs in trained(out).values() for _, pid in epochs}) == 4)  # all workers
    first.kill()
    wait_for(lambda: len(trained(out)) >= 5)
    postgres.restart()
    assert second.wait(240) == 0
    first.wait()
    record = fake_sweep(out, **options)  # finds nothing left to do
    check_all_accounted(record, out, trials=10)
    assert sum(trial.resumed for trial in record.trials) >= 1
    assert sorted({(repeat.number, repeat.seed) for repeat in record.repeats}) == sorted(
        (repeat.number, repeat.seed) for repeat in record.repeats
    )
    assert {repeat.state for repeat in record.repeats} == {"finished"}


TABLE = "trial,nr_filters,learning_rate,sample_batch_size,nll\n1,8,0.001,16,0.3\n2,16,0.002,16,\n3,64,0.001,8,0.2\n"


def test_rows_of_a_table_are_trained_first_or_learned_from(tmp_path, capsys):
    (tmp_path / "table.csv").write_text(TABLE)
    table = read_trials(tmp_path / "table.csv", fake_base())
    record = fake_sweep(tmp_path / "sweep", table=table, as_results=True, trials=1, repeat_best=0)
    first, second = record.trials
    assert (first.origin, second.origin) == ("table", "search")
    assert first.settings == {"model.num_filters": 16, "training.learning_rate": 0.002}
    assert [trial.number for trial in record.given.trials] == [1, 3]
    said = " ".join(capsys.readouterr().err.split())
    assert "2 rows of table.csv have results, and the search learns from 1 of them" in said
    assert "row 3: model.num_filters is 64, not among 4,8,16,32" in said
    again = fake_sweep(tmp_path / "sweep", table=table, as_results=True, trials=1, repeat_best=0)
    assert again.trials == record.trials


def test_a_row_that_is_not_searched_is_not_trained(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    table = read_trials(tmp_path / "table.csv", fake_base())
    with pytest.raises(InputError, match=r"table.csv, row 3: model.num_filters is 64, not among 4,8,16,32"):
        fake_sweep(tmp_path / "sweep", table=table)
    (tmp_path / "table.csv").write_text("nr_filters,max_epochs\n8,500\n")
    table = read_trials(tmp_path / "table.csv", fake_base())
    with pytest.raises(InputError, match=r"row 1: training.epochs is 500, not 9; search it, or give this value"):
        fake_sweep(tmp_path / "other", table=table)


def test_a_sweep_of_weights_and_biases_is_read_from_the_command_line(tmp_path, capsys):
    (tmp_path / "theirs.yaml").write_text(
        "program: main.py\nmethod: random\nmetric: {name: val_bpd}\n"
        "parameters: {nr_filters: {values: [8, 16]}, sample_batch_size: {values: [8, 16]}, max_epochs: {value: 7}}\n"
    )
    options = ["--wandb", str(tmp_path / "theirs.yaml"), "--preset", "digits", "--sampler", "tpe", "--print-config"]
    assert main(["sweep", *options]) == 0
    shown = capsys.readouterr()
    config = yaml.safe_load(shown.out)
    assert config["sweep"]["parameters"] == {"model.num_filters": [8, 16]}
    assert (config["sweep"]["metric"], config["sweep"]["sampler"]) == ("bits_per_dim", "tpe")  # the option wins
    assert config["training"]["epochs"] == 7
    assert "sample_batch_size" in shown.err
    assert "program" in shown.err


@pytest.mark.slow
def test_real_trials_are_runs_like_any_other(pictures, tmp_path, without_plots):
    out = tmp_path / "sweep"
    options = (
        "--levels 8 --num-filters 4 --num-mixtures 1 --fusion film --evidence-channels 0 --epochs 2 --batch-size 8 "
        "--classification-weight 0 --classification-start 0 --teacher [] --device cpu --training.logger none "
        "--param learning_rate=1e-3,2e-3 --sampler grid --metric bits_per_dim --prune false --repeat-best 0 --workers 1"
    )
    assert main(["sweep", *options.split(), "--data", str(pictures), "--out", str(out)]) == 0
    record = SweepRecord.read(out / "sweep.json")
    for trial in record.trials:
        run = RunFolder(out / trial.folder)
        assert json.loads(run.metrics.read_text())["bits_per_dim"] == trial.values["bits_per_dim"]
        assert [value for _, value in trial.progress] == [row["val/bits_per_dim"] for row in read_history(run.history)]
        assert {"accuracy", "nll", "parameters", "seconds"} <= set(trial.values)
        assert run.best.is_file()


@pytest.mark.parametrize(("now", "too_late"), [(0, False), (19, False), (21, True)])
def test_a_trial_starts_only_if_it_ends_in_time_and_leaves_time_for_the_further_seeds(now, too_late, monkeypatch):
    monkeypatch.setattr("pixelbayes.experiments.sweep.runner.time.monotonic", lambda: now)
    pool = SimpleNamespace(workers=[1, 2])
    runner = Runner(pool, SweepConfig(), BASE, None, [], Display("nll", str), deadline=100, started=0)
    assert not runner.is_too_late()  # nothing is known of how long a run takes
    runner.longest = 30
    runner.reserve = 6  # three rounds of two workers take 90 s, more than half of the time
    assert runner.is_too_late() is too_late
    runner.reserve = 0
    assert not runner.is_too_late()


@pytest.mark.slow
def test_several_objectives_have_a_front_and_the_best_run_is_copied_from_the_local_disk(tmp_path):
    out, local = tmp_path / "sweep", tmp_path / "local"
    options = {"objectives": ("nll", "accuracy"), "repeat_best": 1, "repeat_seeds": 1, "trials": 4}
    record = fake_sweep(out, runs=str(local), **options)
    assert {trial.state for trial in record.trials} == {"finished"}  # several objectives stop nothing
    lowest = min(record.trials, key=lambda trial: trial.values["nll"])  # all accuracies are equal
    assert record.pareto == (lowest.number,)
    assert [(repeat.number, repeat.seed, repeat.state) for repeat in record.repeats] == [(lowest.number, 1, "finished")]
    assert json.loads((out / "best/metrics.json").read_text())["nll"] == lowest.values["nll"]
    assert not (out / "runs").exists()
