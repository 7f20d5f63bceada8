import os
import signal
import subprocess
import sys
import time

import launched
import pytest
import torch
from networks import tiny_model
from runs import TINY, tiny_images, tiny_module

from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main
from pixelbayes.evaluation.history import read_history
from pixelbayes.inference import SamplingConfig
from pixelbayes.training.fit import fit
from pixelbayes.training.launch import launch
from pixelbayes.training.sample_quality import QualityCheck
from pixelbayes.utils.errors import DivergedError, InputError, InterruptedRunError
from pixelbayes.utils.run_folder import RunFolder

pytestmark = pytest.mark.slow  # processes that import PyTorch


def test_the_result_is_that_of_the_first_process_and_each_process_has_its_own_tensors():
    weights = torch.zeros(3)
    assert launch(2, launched.rank_and_sum, weights) == (0, 2, 3.0)
    assert weights.sum() == 0


@pytest.mark.parametrize("error", [InputError("no such file"), ValueError("a fault in the code")])
def test_the_error_of_a_process_is_raised_and_the_others_are_ended(error, monkeypatch):
    monkeypatch.setattr("pixelbayes.training.launch.GRACE_SECONDS", 0.1)
    with pytest.raises(InputError if isinstance(error, InputError) else RuntimeError, match=str(error)):
        launch(2, launched.fail_in_one, error)


def test_a_process_that_dies_is_an_error():
    with pytest.raises(RuntimeError, match="a process of the run died"):
        launch(2, launched.die)


def test_a_signal_before_training_starts_interrupts_the_run():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRunError, match="stopped before its state was saved") as stop:
        launch(2, launched.interrupt_parent)
    assert stop.value.signal == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) == before


def test_the_processes_end_if_their_parent_is_killed(tmp_path):
    program = "import launched, pathlib, sys; from pixelbayes.training.launch import launch;"
    program += "launch(2, launched.write_pid, pathlib.Path(sys.argv[1]))"
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=os.environ | path)
    while len(children := [int(path.name) for path in tmp_path.iterdir()]) < 2:
        assert parent.poll() is None
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while any(map(is_running, children)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid):
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")  # a zombie has ended


def outcome(run):
    """Weights in float64, their average, and the history without the time it took."""
    folder, clock = RunFolder(run), {"seconds", "images_per_second"}
    state = torch.load(folder.resume, weights_only=False)["state_dict"]
    weights = torch.cat([weight.flatten().double() for weight in state.values()])
    rows = [[row[name] for name in row if name not in clock] for row in read_history(folder.history)]
    return weights, torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ({"batch_size": 8}, {"devices": 3, "batch_size": 4, "accumulate_grad_batches": 2}),
        ({"classification_weight": 1.0, "classification_start": 0.5}, {"devices": 2}),
        ({"optimizer": "muon", "epochs": 5, "patience": 1}, {"devices": 2}),
    ],
)
def test_processes_that_share_each_batch_train_as_a_single_process(one, several, tmp_path):
    data = tiny_images(train=9, validation=12)  # the last batch has one image, so all processes but one have none
    sampling = SamplingConfig(count=3, seed=7)
    check = QualityCheck(launched.MeanColour(), data.split("validation"), data.class_names, every=2, sampling=sampling)
    for run, settings in (("one", one), ("several", one | several)):
        network = tiny_model("film+class-head:hidden=16", num_filters=16)
        fit(tiny_module(network=network, data=data, **settings), tmp_path / run, quality_check=check)
    assert "quality/fid" in read_history(RunFolder(tmp_path / "several").history)[0]
    found, expected = outcome(tmp_path / "several"), outcome(tmp_path / "one")
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9, equal_nan=True)


def test_a_loss_that_is_not_finite_in_one_process_stops_all(tmp_path):
    with pytest.raises(DivergedError, match="the loss became nan at step 1"):
        fit(tiny_module(launched.diverging_in_one, devices=2), tmp_path)
    assert not RunFolder(tmp_path).resume.exists()


def test_all_processes_save_and_stop_when_one_receives_a_signal(tmp_path):
    with pytest.raises(InterruptedRunError, match="resume it with") as stop:
        fit(tiny_module(launched.interrupted_in_one, devices=2), tmp_path)
    assert stop.value.signal == signal.SIGTERM
    assert torch.load(RunFolder(tmp_path).resume, weights_only=False)["global_step"] == 1


def command(data, run, *options):
    tiny = TINY.replace("--monitor", "--training.monitor")  # torchrun takes --monitor for one of its own options
    return ["-m", "pixelbayes", "train", "--data", str(data), "--out", str(run), *tiny.split(), *options]


def have_close_weights(run, other):
    one, two = (list(checkpoint.load(folder).network.parameters()) for folder in (run, other))
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(one, two, strict=True))


def test_a_run_of_two_processes_that_is_interrupted_resumes_with_one(pictures, finished_run, tmp_path):
    run = tmp_path / "run"
    two = [sys.executable, *command(pictures, run, "--devices", "2")]
    process = subprocess.Popen(two, stderr=subprocess.PIPE)
    while process.poll() is None and not RunFolder(run).resume.exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors.decode()
    assert b"resume it with `pixelbayes train" in errors.splitlines()[-1]
    assert len(read_history(RunFolder(run).history)) < 4
    assert main(["train", "--out", str(run), "--resume", "--devices", "1"]) == 0
    assert have_close_weights(run, finished_run)
    assert len(read_history(RunFolder(run).history)) == 4


SCRIPT = """
import sys
from pathlib import Path
from pixelbayes.cli import main
main(sys.argv[1:])
"""


def test_a_script_without_a_main_guard_is_refused_in_one_line(pictures, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    options = command(pictures, tmp_path / "run", "--devices", "2")[2:]
    ended = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, timeout=100)
    *_, last = ended.stderr.splitlines()
    assert "put its code below `if __name__ == '__main__':`" in last
    assert "Traceback" not in ended.stderr
    ended = subprocess.run(
        [sys.executable, "-", *options], input=SCRIPT, capture_output=True, text=True, timeout=100, cwd=tmp_path
    )
    assert "Traceback" not in ended.stderr


def test_torchrun_starts_the_processes_and_one_of_them_writes_the_files(pictures, finished_run, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    options = command(pictures, tmp_path / "run")
    found = subprocess.run([*torchrun, *options], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("bits per dimension") == 1
    assert have_close_weights(tmp_path / "run", finished_run)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in finished_run.iterdir()}
