import dataclasses
import os
import signal
import threading

import pytest
import torch
from networks import tiny_model
from runs import tiny_module

from pixelbayes.checkpoints import checkpoint
from pixelbayes.evaluation.history import read_history
from pixelbayes.training import TrainingConfig
from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule
from pixelbayes.training.objectives import likelihood_loss
from pixelbayes.utils.errors import InterruptedRunError, StoppedEarlyError
from pixelbayes.utils.run_folder import RunFolder


class CrashError(Exception):
    """Ends a run without a chance to save."""


def crash():
    raise CrashError


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def ending(step, end):
    """An objective that ends the run in a step, counted from 0."""
    calls = []

    def objective(network, batch, key):
        calls.append(1)
        if len(calls) == step + 1:
            end()
        return likelihood_loss(network, batch, key)

    return objective


def outcome(run):
    """Metrics, weights and epochs of a run, without the time it took."""
    folder, clock = RunFolder(run), {"seconds", "images_per_second"}
    rows = [{name: row[name] for name in row.keys() - clock} for row in read_history(folder.history)]
    trained = [checkpoint.load(path) for path in (folder.best, folder.last)]
    return rows, [(each.digest, each.provenance.epoch) for each in trained]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = tmp_path_factory.mktemp("uninterrupted")
    fit(tiny_module(epochs=3), run)
    return outcome(run)


# 3 steps per epoch: 2, 5 and 8 are the last steps of an epoch
@pytest.mark.parametrize(
    ("end", "step", "checkpoint_minutes"),
    [
        *((crash, step, 0.0) for step in (1, 2, 3, 7, 8)),  # the state of the step before was saved
        (crash, 1, 10.0),  # nothing was saved
        *((crash, step, 10.0) for step in (4, 5)),  # the state of the first epoch was saved
        *((interrupt, step, 10.0) for step in (0, 1, 2, 3, 8)),
        (interrupt, 4, 0.0),
    ],
)
def test_a_run_that_ends_in_any_step_resumes_bit_for_bit(end, step, checkpoint_minutes, tmp_path, uninterrupted):
    with pytest.raises((CrashError, InterruptedRunError)):
        fit(tiny_module(ending(step, end), epochs=3, checkpoint_minutes=checkpoint_minutes), tmp_path)
    fit(tiny_module(epochs=3), tmp_path)
    assert outcome(tmp_path) == uninterrupted


@pytest.mark.parametrize(("end", "checkpoint_minutes"), [(crash, 0.0), (crash, 10.0), (interrupt, 10.0)])
def test_a_run_that_ends_during_validation_resumes_bit_for_bit(
    end, checkpoint_minutes, tmp_path, uninterrupted, monkeypatch
):
    validation_step, calls = TrainingModule.validation_step, []

    def ending_once(module, *inputs):
        calls.append(1)
        if len(calls) == 3:  # the first of two batches, in the second epoch
            end()
        validation_step(module, *inputs)

    monkeypatch.setattr(TrainingModule, "validation_step", ending_once)
    with pytest.raises((CrashError, InterruptedRunError)):
        fit(tiny_module(epochs=3, checkpoint_minutes=checkpoint_minutes), tmp_path)
    fit(tiny_module(epochs=3), tmp_path)
    assert outcome(tmp_path) == uninterrupted


def test_a_run_that_ends_between_saving_weights_and_state_resumes_bit_for_bit(tmp_path, uninterrupted, monkeypatch):
    with monkeypatch.context() as patch:
        save, calls = torch.save, []

        def crashing(*inputs, **options):
            calls.append(1)
            return crash() if len(calls) == 2 else save(*inputs, **options)  # the state of the second epoch

        patch.setattr(torch, "save", crashing)
        with pytest.raises(CrashError):
            fit(tiny_module(epochs=3), tmp_path)
    assert checkpoint.load(RunFolder(tmp_path).last).provenance.epoch == 2
    fit(tiny_module(epochs=3), tmp_path)
    assert outcome(tmp_path) == uninterrupted


def test_a_run_with_muon_and_every_loss_term_resumes_bit_for_bit(tmp_path):
    def module():
        network = tiny_model("class-head", num_filters=16, auxiliary_head=True, views=2, context_dropout=0.3)
        settings = {"classification_weight": 1.0, "classification_start": 0.4, "optimizer": "muon"}
        return tiny_module(network=network, epochs=3, **settings)

    fit(module(), tmp_path / "whole")
    for step in (2, 5, 7):  # in the epoch of likelihood alone, in the next one, in the last one
        interrupted, loss, calls = module(), TrainingModule.loss, []

        def ending_once(index, interrupted=interrupted, loss=loss, calls=calls, step=step):
            calls.append(1)
            if interrupted.global_step == step:
                crash()
            return loss(interrupted, index)

        interrupted.config = dataclasses.replace(interrupted.config, checkpoint_minutes=0.0)
        interrupted.loss = ending_once
        with pytest.raises(CrashError):
            fit(interrupted, tmp_path / "parts")
    fit(module(), tmp_path / "parts")
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


def test_a_run_that_is_interrupted_stops_by_patience_at_the_same_epoch(tmp_path, monkeypatch):
    epoch_metrics = TrainingModule.epoch_metrics

    def scripted(module):  # the second epoch is the best, so step 11, the last of the fourth, is the last of the run
        return epoch_metrics(module) | {"val/accuracy": 0.9 if module.current_epoch == 1 else 0.5}

    monkeypatch.setattr(TrainingModule, "epoch_metrics", scripted)
    settings = {"epochs": 6, "patience": 2}
    fit(tiny_module(**settings), tmp_path / "whole")
    for end, step in ((crash, 10), (interrupt, 8), (interrupt, 11)):
        run = tmp_path / f"{end.__name__}-{step}"
        with pytest.raises((CrashError, InterruptedRunError)):
            fit(tiny_module(ending(step, end), checkpoint_minutes=0.0, **settings), run)
        history = fit(tiny_module(**settings), run)
        assert len(history) == 4
        assert outcome(run) == outcome(tmp_path / "whole")
        assert fit(tiny_module(**settings), run) == history  # a run that has ended does not go on


def test_fitting_a_finished_run_again_changes_nothing(tmp_path, uninterrupted):
    fit(tiny_module(epochs=3), tmp_path)
    assert len(fit(tiny_module(epochs=3), tmp_path)) == 3
    assert outcome(tmp_path) == uninterrupted


def test_the_seconds_of_a_resumed_epoch_are_those_of_both_parts_without_the_time_between(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("pixelbayes.training.callbacks.time.monotonic", lambda: clock[0])

    def objective(network, batch, key):
        clock[0] += 7.0  # a step takes 7 seconds
        return likelihood_loss(network, batch, key)

    def stopping(*inputs):
        if clock[0] == 1028:
            interrupt()
        return objective(*inputs)

    with pytest.raises(InterruptedRunError):
        fit(tiny_module(stopping), tmp_path)
    clock[0] = 90.0  # the clock of another process
    assert [row["seconds"] for row in fit(tiny_module(objective), tmp_path)] == [21, 21]


def test_a_run_outside_the_main_thread_does_not_handle_signals(tmp_path):
    rows = []
    thread = threading.Thread(target=lambda: rows.extend(fit(tiny_module(epochs=1), tmp_path)))
    thread.start()
    thread.join()
    assert len(rows) == 1


def test_there_are_tensorboard_files_by_default_and_none_without_a_logger(tmp_path):
    fit(tiny_module(epochs=1, logger=TrainingConfig().logger), tmp_path / "with")
    fit(tiny_module(epochs=1), tmp_path / "without")
    assert any(file.stat().st_size > 0 for file in (tmp_path / "with").rglob("events.out.tfevents.*"))
    files = {path.name for path in (tmp_path / "without").iterdir()}
    assert files == {"history.csv", "best.safetensors", "last.safetensors", "resume.ckpt"}


def test_a_run_that_its_watcher_stops_after_an_epoch_resumes_bit_for_bit(tmp_path, uninterrupted):
    seen = []

    def watch(row):
        seen.append(row["epoch"])
        return len(seen) != 1  # stop after the first epoch

    with pytest.raises(StoppedEarlyError, match="stopped after epoch 1"):
        fit(tiny_module(epochs=3), tmp_path, on_epoch=watch)
    fit(tiny_module(epochs=3), tmp_path, on_epoch=watch)
    assert seen == [1, 2, 3]
    assert outcome(tmp_path) == uninterrupted
