"""The commands as a whole: overview, exit statuses, and start-up."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from pixelbayes import experiments
from pixelbayes.cli import COMMANDS, main
from pixelbayes.utils.errors import DivergedError, InterruptedRunError
from pixelbayes.version import __version__

HEAVY = {"torch", "lightning", "jsonargparse", "numpy", "matplotlib", "rich", "yaml", "PIL"}
INSTALLED = "from pixelbayes.cli import main\nmain(sys.argv[1:])"
MODULE = """
try:
    runpy.run_module("pixelbayes", run_name="__main__")
except SystemExit as end:
    assert end.code == 0
"""


@pytest.mark.parametrize("option", [[], ["--help"], ["-h"]])
def test_the_overview_names_every_command(option, capsys):
    assert main(option) == 0
    output = capsys.readouterr().out
    assert all(f"\n  {name} " in output for name in COMMANDS)


@pytest.mark.parametrize(("start", "option"), [(INSTALLED, "--help"), (MODULE, "--version")])
def test_overview_and_version_import_nothing_heavy(start, option):
    code = f"import runpy, sys\n{start}\nprint('imported:', *sorted(name for name in sys.modules if '.' not in name))"
    output = subprocess.run(
        [sys.executable, "-c", code, option], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    ).stdout
    imported = set(output.rpartition("imported:")[2].split())
    assert "pixelbayes" in imported
    assert not HEAVY & imported
    assert output.startswith(f"pixelbayes {__version__}\n" if option == "--version" else "usage: pixelbayes COMMAND")


def test_the_installed_command_is_the_module():
    commands = [[str(Path(sys.executable).with_name("pixelbayes"))], [sys.executable, "-m", "pixelbayes"]]
    outputs = [subprocess.run([*command, "--help"], capture_output=True, check=True).stdout for command in commands]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (DivergedError("the loss became nan at step 5"), 1, "the loss became nan at step 5"),
        (InterruptedRunError("training stopped", signal=2), 130, "training stopped"),
        (InterruptedRunError("training stopped", signal=15), 143, "training stopped"),
        (KeyboardInterrupt(), 130, "stopped"),
        (
            OSError(28, "No space left on device", "run/best.safetensors"),
            2,
            "run/best.safetensors: No space left on device; "
            "free space, then repeat the command, with --resume if it was training",
        ),
        (OSError("a socket"), 2, "a socket"),
    ],
)
def test_every_error_has_its_exit_status_and_one_line(error, status, message, tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(experiments, "train", fail)
    assert main(["train", "--out", str(tmp_path / "run")]) == status
    assert capsys.readouterr().err == f"pixelbayes: {message}\n"


def test_what_the_encoding_of_the_output_lacks_is_escaped(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stderr", stream)
    assert main(["猫"]) == 2
    stream.flush()
    assert rb"unknown command '\u732b'" in stream.buffer.getvalue()
