import os
import signal
import threading

import pytest
import torch
from runs import tiny_module

from pixelbayes.checkpoints import checkpoint
from pixelbayes.evaluation.history import HISTORY, read_history
from pixelbayes.experiments.run_folder import check_machine
from pixelbayes.training import TrainingConfig
from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule
from pixelbayes.training.objectives import generative
from pixelbayes.utils.errors import InputError, InterruptedRunError


class PowerCutError(Exception):
    """Ends a run with no chance to save."""


def cut():
    raise PowerCutError


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def ending(number, end):
    """The objective of a run that ends in its step `number`, counted from 0."""
    calls = []

    def objective(network, batch, key):
        calls.append(1)
        if len(calls) == number + 1:
            end()
        return generative(network, batch, key)

    return objective


def outcome(run):
    """All that a run leaves of numbers, but for the time it took."""
    clock = {"seconds", "images_per_second"}
    rows = [{name: row[name] for name in row.keys() - clock} for row in read_history(run / HISTORY)]
    kept = [checkpoint.load(run / name) for name in (checkpoint.BEST, checkpoint.LAST)]
    weights = [torch.cat([weight.flatten() for weight in each.network.parameters()]).tolist() for each in kept]
    return rows, weights, [each.about["epoch"] for each in kept]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = tmp_path_factory.mktemp("uninterrupted")
    fit(tiny_module(epochs=3), run, {})
    return outcome(run)


# 3 steps an epoch: 2, 5 and 8 are an epoch's last
@pytest.mark.parametrize("minutes", [0.0, 10.0])  # a state after each step, or at the ends of epochs alone
@pytest.mark.parametrize("step", range(1, 9))
@pytest.mark.parametrize("end", [cut, interrupt])
def test_a_run_that_ends_in_any_step_goes_on_as_if_nothing_had_happened(end, step, minutes, tmp_path, uninterrupted):
    with pytest.raises((PowerCutError, InterruptedRunError)):
        fit(tiny_module(ending(step, end), epochs=3, checkpoint_minutes=minutes), tmp_path, {})
    fit(tiny_module(epochs=3), tmp_path, {})
    assert outcome(tmp_path) == uninterrupted


@pytest.mark.parametrize("minutes", [0.0, 10.0])
@pytest.mark.parametrize("end", [cut, interrupt])
def test_a_run_that_ends_in_validation_does_too(end, minutes, tmp_path, uninterrupted, monkeypatch):
    validate, calls = TrainingModule.validation_step, []

    def validation_step(module, *inputs):
        calls.append(1)
        if len(calls) == 3:  # the second epoch's first of two
            end()
        validate(module, *inputs)

    monkeypatch.setattr(TrainingModule, "validation_step", validation_step)
    with pytest.raises((PowerCutError, InterruptedRunError)):
        fit(tiny_module(epochs=3, checkpoint_minutes=minutes), tmp_path, {})
    fit(tiny_module(epochs=3), tmp_path, {})
    assert outcome(tmp_path) == uninterrupted


def test_a_run_cut_between_its_files_does_too(tmp_path, uninterrupted, monkeypatch):
    """Best and last of the second epoch are there, the state is of the first."""
    with monkeypatch.context() as patch:
        save, saved = torch.save, []

        def torn(*inputs, **options):
            saved.append(1)
            return cut() if len(saved) == 2 else save(*inputs, **options)

        patch.setattr(torch, "save", torn)
        with pytest.raises(PowerCutError):
            fit(tiny_module(epochs=3), tmp_path, {})
    assert checkpoint.load(tmp_path / checkpoint.LAST).about["epoch"] == 2
    fit(tiny_module(epochs=3), tmp_path, {})
    assert outcome(tmp_path) == uninterrupted


def test_a_run_that_has_ended_stays_as_it_is(tmp_path, uninterrupted):
    fit(tiny_module(epochs=3), tmp_path, {})
    assert len(fit(tiny_module(epochs=3), tmp_path, {})) == 3
    assert outcome(tmp_path) == uninterrupted


def test_a_resumed_epochs_seconds_hold_both_parts_and_not_the_time_between(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("pixelbayes.training.callbacks.time.monotonic", lambda: clock[0])

    def objective(network, batch, key):
        clock[0] += 7.0  # a step takes 7 seconds
        return generative(network, batch, key)

    def stopping(*inputs):
        if clock[0] == 1028:
            interrupt()
        return objective(*inputs)

    with pytest.raises(InterruptedRunError):
        fit(tiny_module(stopping), tmp_path, {})
    clock[0] = 90.0  # another process, another clock
    assert [row["seconds"] for row in fit(tiny_module(objective), tmp_path, {})] == [21, 21]


def test_a_run_in_another_thread_than_the_main_one_leaves_signals_alone(tmp_path):
    rows = []
    thread = threading.Thread(target=lambda: rows.extend(fit(tiny_module(epochs=1), tmp_path, {})))
    thread.start()
    thread.join()
    assert len(rows) == 1


def test_tensorboard_files_are_there_by_default_and_none_without_a_logger(tmp_path):
    fit(tiny_module(epochs=1, logger=TrainingConfig().logger), tmp_path / "with", {})
    fit(tiny_module(epochs=1), tmp_path / "without", {})
    assert any(file.stat().st_size > 0 for file in (tmp_path / "with").rglob("events.out.tfevents.*"))
    files = {path.name for path in (tmp_path / "without").iterdir()}
    assert files == {"history.csv", "best.safetensors", "last.safetensors", "resume.ckpt"}


def test_what_the_machine_lacks_is_told_before_anything_starts(monkeypatch):
    monkeypatch.setattr("pixelbayes.experiments.run_folder.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install 'pixelbayes\\[wandb\\]'"):
        check_machine(TrainingConfig(logger="wandb"))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(InputError, match="precision float64 is not for Apple's mps"):
        check_machine(TrainingConfig(device="mps", precision="float64"))
