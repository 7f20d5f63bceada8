import resource
import signal

import pytest
import torch
from runs import sending, tiny_module

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.evaluation.history import best_row, read_history
from pixelbayes.training.callbacks import NOT_METRICS
from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule
from pixelbayes.training.objectives import likelihood_loss
from pixelbayes.training.optimization import early_ending
from pixelbayes.utils.errors import NO_SPACE, InterruptedRunError
from pixelbayes.utils.run_folder import RunFolder

NAN = float("nan")


def rows(*bits_and_accuracy):
    return [{"val/bits_per_dim": bits, "val/accuracy": accuracy} for bits, accuracy in bits_and_accuracy]


def script_epochs(monkeypatch, table):
    """Replaces the validation metrics of each epoch by a row of bits per dimension and accuracy."""
    epoch_metrics = TrainingModule.epoch_metrics
    monkeypatch.setattr(
        TrainingModule, "epoch_metrics", lambda module: epoch_metrics(module) | rows(*table)[module.current_epoch]
    )


@pytest.mark.parametrize(
    ("monitor", "table", "best"),
    [
        ("bits_per_dim", [(3.0, 0.9), (2.0, 0.1), (2.5, 0.5)], 1),
        ("bits_per_dim", [(3.0, 0.1), (2.0, 0.1), (2.0, 0.9)], 1),  # the first of equal rows
        ("accuracy", [(3.0, 0.5), (2.0, 0.4), (9.0, 0.9)], 2),
        ("accuracy", [(3.0, 0.5), (2.0, 0.5), (2.5, 0.4)], 1),  # fewer bits at equal accuracy
        ("accuracy", [(2.0, 0.5), (2.0, 0.5)], 0),
        ("accuracy", [(3.0, NAN), (2.0, NAN), (2.5, NAN)], 1),  # bits if there are no labels
    ],
)
def test_the_best_epoch_of_a_history_is_the_one_found_by_hand(monitor, table, best):
    table = rows(*table)
    assert best_row(table, monitor) is table[best]


@pytest.mark.parametrize(("monitor", "best"), [("bits_per_dim", 2), ("accuracy", 1)])
def test_the_best_and_the_last_weights_are_saved_with_their_provenance(monitor, best, tmp_path, monkeypatch):
    script = rows((2.2, 0.6), (2.0, 0.5), (2.6, NAN))
    biases = []  # of the average at the end of each epoch
    epoch_metrics = TrainingModule.epoch_metrics

    def scripted(module):
        biases.append(module.average.to_params.bias.detach().float())
        return epoch_metrics(module) | script[len(biases) - 1]

    monkeypatch.setattr(TrainingModule, "epoch_metrics", scripted)
    folder, config = RunFolder(tmp_path), {"training": {"epochs": 3}}
    provenance = Provenance(command="pixelbayes train", config=config)
    history = fit(tiny_module(epochs=3, monitor=monitor), tmp_path, provenance)
    assert len({str(bias.tolist()) for bias in biases}) == 3  # the weights of all epochs differ
    for path, epoch in ((folder.best, best), (folder.last, 3)):
        trained = checkpoint.load(path)
        assert torch.equal(trained.network.to_params.bias, biases[epoch - 1])
        provenance = trained.provenance
        assert (provenance.command, provenance.config) == ("pixelbayes train", config)
        assert (provenance.epoch, provenance.monitor) == (epoch, monitor)
        row = {name: value for name, value in history[epoch - 1].items() if name not in NOT_METRICS}
        if epoch == 3:
            del row["val/accuracy"]  # NaN
        assert provenance.metrics == row
        assert provenance.metrics["val/bits_per_dim"] == script[epoch - 1]["val/bits_per_dim"]


def test_a_run_writes_a_row_per_epoch_and_sample_grids_every_n_epochs_and_after_the_last(tmp_path):
    history = fit(tiny_module(epochs=3, sample_every=2, samples_per_class=1), tmp_path)
    assert [(row["epoch"], row["step"]) for row in history] == [(1, 3), (2, 6), (3, 9)]
    assert read_history(RunFolder(tmp_path).history) == history
    assert read_history(tmp_path / "none.csv") == []
    grids = sorted(path.name for path in RunFolder(tmp_path).samples.iterdir())
    assert grids == ["epoch-0002.png", "epoch-0003.png"]


def test_training_stops_after_the_epoch_that_exceeds_the_time_limit(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("pixelbayes.training.callbacks.time.monotonic", lambda: clock[0])

    def objective(network, batch, key):
        clock[0] += 1.0  # a step takes a second, an epoch three
        return likelihood_loss(network, batch, key)

    module = tiny_module(objective, epochs=9, max_seconds=5.0)
    history = fit(module, tmp_path)
    assert len(history) == 2
    assert early_ending(module.config, history) == "after epoch 2 of 9, by max_seconds"
    assert fit(tiny_module(epochs=9, max_seconds=5.0), tmp_path) == history  # it has ended


# bits per dimension and accuracy of each epoch; a run of 5 epochs has a table of 5 rows
WORSE_AT_ONCE = [(2.0, 0.5), (2.1, 0.4), (2.2, 0.3), (2.3, 0.2), (1.0, 0.9)]
BETTER_IN_BETWEEN = [(2.0, 0.5), (2.1, 0.5), (1.9, 0.5), (2.2, 0.4), (2.3, 0.5)]


@pytest.mark.parametrize(
    ("table", "settings", "epochs", "best"),
    [
        (WORSE_AT_ONCE, {"patience": 2}, 3, 1),
        (WORSE_AT_ONCE, {"patience": 4}, 5, 5),
        (BETTER_IN_BETWEEN, {"patience": 2}, 5, 3),  # fewer bits at equal accuracy are an improvement
        (BETTER_IN_BETWEEN, {"patience": 1, "monitor": "bits_per_dim"}, 2, 1),
        ([(2.0, 0.5)] * 5, {"patience": 2}, 3, 1),  # an equal epoch is none
        ([(2.0, NAN), (1.9, NAN), (1.9, NAN), (1.8, NAN), (1.8, NAN)], {"patience": 1}, 3, 2),  # without labels
        # two epochs on the likelihood only
        (WORSE_AT_ONCE, {"patience": 1, "classification_weight": 1.0, "classification_start": 0.5}, 3, 1),
        (WORSE_AT_ONCE, {"patience": 3, "classification_weight": 1.0, "classification_start": 0.5}, 5, 5),
    ],
)
def test_training_stops_when_the_best_epoch_is_too_old(table, settings, epochs, best, tmp_path, monkeypatch, capsys):
    script_epochs(monkeypatch, table)
    history = fit(tiny_module(lambda network, *_: network.to_params.bias.sum(), epochs=5, **settings), tmp_path)
    assert len(history) == epochs
    assert checkpoint.load(RunFolder(tmp_path).best).provenance.epoch == best
    last = capsys.readouterr().err.splitlines()[-1]
    ended = f"training ended after epoch {epochs} of 5, by patience: no improvement of "
    assert last.startswith(ended if epochs < 5 else "epoch   5/5 ")


@pytest.mark.parametrize(("minutes", "saved"), [(0.0, [False, True, True]), (10.0, [False, False, False])])
def test_within_an_epoch_the_state_is_saved_at_the_configured_interval(minutes, saved, tmp_path):
    found = []

    def objective(network, batch, key):
        found.append(RunFolder(tmp_path).resume.is_file())
        return likelihood_loss(network, batch, key)

    fit(tiny_module(objective, epochs=1, checkpoint_minutes=minutes), tmp_path)
    assert found == saved
    assert RunFolder(tmp_path).resume.is_file()  # always saved at the end of an epoch


@pytest.mark.parametrize(
    ("number", "step"),  # 3 steps per epoch; Lightning's own SIGTERM handler would skip the validation after step 3
    [(signal.SIGINT, 2), (signal.SIGTERM, 2), (signal.SIGTERM, 3)],
)
def test_a_signal_stops_the_run_after_the_step_or_the_epoch_and_saves_its_state(number, step, tmp_path):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    command = f"pixelbayes train --out {tmp_path} --resume"
    with pytest.raises(InterruptedRunError, match=f"training stopped; resume it with `{command}`") as stop:
        fit(tiny_module(sending(number, step=step)), tmp_path)
    assert stop.value.signal == number
    assert torch.load(RunFolder(tmp_path).resume, weights_only=False)["global_step"] == step
    assert len(read_history(RunFolder(tmp_path).history)) == step // 3
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_signal_stops_the_run_at_once(tmp_path):
    with pytest.raises(InterruptedRunError):
        fit(tiny_module(sending(signal.SIGINT, times=2)), tmp_path)
    assert not RunFolder(tmp_path).resume.exists()


@pytest.mark.parametrize(("minutes", "name"), [(0.0, "resume.ckpt"), (10.0, "last.safetensors")])
def test_a_full_disk_leaves_all_files_whole_and_the_run_goes_on_once_there_is_space(minutes, name, tmp_path):
    settings = {"epochs": 3, "checkpoint_minutes": minutes}
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = {}

    def objective(network, batch, key):
        if not before and RunFolder(tmp_path).last.exists():  # in the second epoch
            before.update({path: path.read_bytes() for path in tmp_path.iterdir()})
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, unlimited[1]))
        return likelihood_loss(network, batch, key)

    try:
        with pytest.raises(OSError, match=rf"{tmp_path}/{name}") as failure:
            fit(tiny_module(objective, **settings), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert failure.value.errno in NO_SPACE
    after = {path: path.read_bytes() for path in tmp_path.iterdir()}
    history = RunFolder(tmp_path).history  # it may have a row more
    assert {**after, history: b""} == {**before, history: b""}
    assert [row["epoch"] for row in fit(tiny_module(**settings), tmp_path)] == [1, 2, 3]
