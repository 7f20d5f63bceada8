import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from runs import TINY, tiny_images, tiny_module

from pixelbayes.checkpoints import checkpoint
from pixelbayes.evaluation.history import read_history
from pixelbayes.training import TrainingConfig
from pixelbayes.training.callbacks import RESUME
from pixelbayes.training.fit import fit
from pixelbayes.training.launch import in_processes
from pixelbayes.training.objectives import generative
from pixelbayes.utils.errors import DivergedError, InputError, InterruptedRunError

pytestmark = pytest.mark.slow  # processes that import PyTorch


def outcome(run):
    """Weights in float64, their average, and the history's numbers but for the time they took."""
    state = torch.load(run / RESUME, weights_only=False)["state_dict"]
    weights = torch.cat([weight.flatten().double() for weight in state.values()])
    clock = {"seconds", "images_per_second"}
    rows = [[row[name] for name in row if name not in clock] for row in read_history(run / "history.csv")]
    return weights, torch.tensor(rows, dtype=torch.float64)


HYBRID = {"posterior_weight": 1.0, "posterior_from": 0.5}


@pytest.mark.parametrize(
    ("devices", "accumulate", "batch_size", "objective"),
    [(2, 1, 4, {}), (3, 1, 4, {}), (2, 2, 2, {}), (2, 1, 4, HYBRID)],
)
def test_processes_that_share_each_batch_train_as_one(devices, accumulate, batch_size, objective, tmp_path):
    data = tiny_images(train=9)  # batches of 4, 4 and 1: of the last there is none for all but one
    together = {"devices": devices, "accumulate": accumulate, "batch_size": batch_size}
    for run, settings in (("one", objective), ("several", together | objective)):
        fit(tiny_module(data=data, **settings), tmp_path / run, {})
    torch.testing.assert_close(outcome(tmp_path / "several"), outcome(tmp_path / "one"), rtol=1e-6, atol=1e-9)


def spoilt_in_one(network, batch, key):
    return generative(network, batch, key) * (float("nan") if os.environ["RANK"] == "1" else 1.0)


def test_a_loss_that_is_not_finite_in_one_process_stops_all(tmp_path):
    with pytest.raises(DivergedError, match="the loss became nan at step 1"):
        fit(tiny_module(spoilt_in_one, devices=2), tmp_path, {})
    assert not (tmp_path / RESUME).exists()


def interrupted_in_one(network, batch, key):
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)
    return generative(network, batch, key)


def test_all_stop_with_their_state_saved_when_one_is_asked_to(tmp_path):
    with pytest.raises(InterruptedRunError, match="--resume` goes on") as stopped:
        fit(tiny_module(interrupted_in_one, devices=2), tmp_path, {})
    assert stopped.value.signal == signal.SIGTERM
    assert torch.load(tmp_path / RESUME, weights_only=False)["global_step"] == 1


def die():
    os._exit(3)


def test_a_process_that_dies_is_told():
    with pytest.raises(RuntimeError, match="a process of the run has died"):
        in_processes(2, die)


def command(data, run, *options):
    return ["train", "--data", str(data), "--out", str(run), *TINY.split(), *options]


def close_to(run, other):
    one, two = ([*checkpoint.load(folder).network.parameters()] for folder in (run, other))
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(one, two, strict=True))


def test_a_run_of_two_that_is_interrupted_goes_on_as_one(pictures, finished_run, tmp_path):
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "pixelbayes", *command(pictures, run, "--devices", "2")], stderr=subprocess.PIPE
    )
    while process.poll() is None and not (run / RESUME).exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors.decode()
    assert b"--resume` goes on" in errors.splitlines()[-1]
    assert len(read_history(run / "history.csv")) < 4
    again = [sys.executable, "-m", "pixelbayes", "train", "--out", str(run), "--resume", "--devices", "1"]
    subprocess.run(again, check=True, capture_output=True)
    assert close_to(run, finished_run)
    assert len(read_history(run / "history.csv")) == 4


def test_torchrun_begins_the_processes_and_one_of_them_writes_the_files(pictures, finished_run, tmp_path):
    begin = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "pixelbayes"]
    found = subprocess.run([*begin, *command(pictures, tmp_path / "run")], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("bits per dimension") == 1
    assert close_to(tmp_path / "run", finished_run)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in finished_run.iterdir()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"devices": 0}, "devices is 0, expected at least 1"),
        ({"accumulate": 0}, "accumulate is 0, expected at least 1"),
        ({"devices": 8, "batch_size": 4}, "devices is 8, expected no more than batch_size, 4"),
    ],
)
def test_numbers_of_processes_and_batches_that_cannot_be_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        TrainingConfig(**settings)
