import os
import signal

import pytest
import torch
from runs import tiny_module

from pixelbayes.checkpoints import checkpoint
from pixelbayes.evaluation.history import HISTORY, best_row, read_history
from pixelbayes.training.callbacks import RESUME
from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule
from pixelbayes.training.objectives import generative
from pixelbayes.utils.errors import InterruptedRunError

NAN = float("nan")


def rows(*bits_and_accuracy):
    return [{"val/bits_per_dim": bits, "val/accuracy": accuracy} for bits, accuracy in bits_and_accuracy]


@pytest.mark.parametrize(
    ("select_by", "table", "best"),
    [
        ("bits_per_dim", [(3.0, 0.9), (2.0, 0.1), (2.5, 0.5)], 1),
        ("bits_per_dim", [(3.0, 0.1), (2.0, 0.1), (2.0, 0.9)], 1),  # of equals the first
        ("accuracy", [(3.0, 0.5), (2.0, 0.4), (9.0, 0.9)], 2),
        ("accuracy", [(3.0, 0.5), (2.0, 0.5), (2.5, 0.4)], 1),  # of equal accuracy, fewer bits
        ("accuracy", [(2.0, 0.5), (2.0, 0.5)], 0),
        ("accuracy", [(3.0, NAN), (2.0, NAN), (2.5, NAN)], 1),  # no labels: by bits
    ],
)
def test_the_best_epoch_is_the_one_found_by_hand(select_by, table, best):
    table = rows(*table)
    assert best_row(table, select_by) is table[best]


@pytest.mark.parametrize(("select_by", "best"), [("bits_per_dim", 2), ("accuracy", 3)])
def test_best_holds_the_weights_of_the_best_epoch_and_last_of_the_last(select_by, best, tmp_path, monkeypatch):
    script = rows((3.0, 0.5), (2.0, 0.6), (2.5, 0.7), (2.2, 0.7), (2.2, 0.6))
    script[3]["val/bits_per_dim"] = 2.6  # as accurate as the third, in more bits
    epochs = []  # the average at the end of each
    measure = TrainingModule.epoch_figures

    def scripted(module):
        epochs.append(module.average.to_params.bias.detach().float())
        return measure(module) | script[len(epochs) - 1]

    monkeypatch.setattr(TrainingModule, "epoch_figures", scripted)
    fit(tiny_module(epochs=5, select_by=select_by), tmp_path, {"command": "none"})
    for name, epoch in ((checkpoint.BEST, best), (checkpoint.LAST, 5)):
        kept = checkpoint.load(tmp_path / name)
        assert torch.equal(kept.network.to_params.bias, epochs[epoch - 1])
        assert not torch.equal(epochs[epoch - 1], epochs[epoch - 2])
        assert kept.about["epoch"] == epoch
        assert kept.about["val/accuracy"] == script[epoch - 1]["val/accuracy"]
        assert (kept.about["selected_by"], kept.about["command"]) == (select_by, "none")


def test_history_has_a_row_for_each_epoch_on_disk_as_in_memory(tmp_path):
    kept = fit(tiny_module(epochs=3), tmp_path, {})
    assert [(row["epoch"], row["step"]) for row in kept] == [(1, 3), (2, 6), (3, 9)]
    assert read_history(tmp_path / HISTORY) == kept
    assert read_history(tmp_path / "none.csv") == []


def test_sample_grids_come_every_n_epochs_and_after_the_last(tmp_path):
    fit(tiny_module(epochs=5, sample_every=2, samples_per_class=1), tmp_path, {})
    found = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert found == ["epoch-0002.png", "epoch-0004.png", "epoch-0005.png"]


@pytest.mark.parametrize(("minutes", "saved"), [(0.0, [False, True, True]), (10.0, [False, False, False])])
def test_within_an_epoch_the_state_is_saved_as_often_as_asked(minutes, saved, tmp_path):
    found = []

    def objective(network, batch, key):
        found.append((tmp_path / RESUME).is_file())
        return generative(network, batch, key)

    fit(tiny_module(objective, epochs=1, checkpoint_minutes=minutes), tmp_path, {})
    assert found == saved
    assert (tmp_path / RESUME).is_file()  # at the epoch's end in any case


def asking(number, times=1, step=2):
    """The objective of a run that is sent a signal in a step of it, the second if not told."""
    calls = []

    def objective(network, batch, key):
        calls.append(1)
        if len(calls) == step:
            for _ in range(times):
                os.kill(os.getpid(), number)
        return generative(network, batch, key)

    return objective


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_run_at_the_steps_end_with_its_state_saved(number, tmp_path):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(InterruptedRunError, match=f"train --out {tmp_path} --resume` goes on") as stopped:
        fit(tiny_module(asking(number)), tmp_path, {})
    assert stopped.value.signal == number
    assert torch.load(tmp_path / RESUME, weights_only=False)["global_step"] == 2
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_signal_stops_the_run_at_once(tmp_path):
    with pytest.raises(InterruptedRunError):
        fit(tiny_module(asking(signal.SIGINT, times=2)), tmp_path, {})
    assert not (tmp_path / RESUME).exists()
