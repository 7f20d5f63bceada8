import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from runs import CLASSES, TINY, train

from pixelbayes import experiments as experiment
from pixelbayes.cli import COMMANDS, main
from pixelbayes.experiments.presets import PRESETS
from pixelbayes.utils.errors import DivergedError, InterruptedRunError
from pixelbayes.version import __version__


@pytest.mark.parametrize("option", [[], ["--help"], ["-h"]])
def test_help_names_every_command(option, capsys):
    assert main(option) == 0
    output = capsys.readouterr().out
    assert all(f"\n  {name} " in output for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    assert output.startswith(f"usage: pixelbayes {name}")
    assert COMMANDS[name].__doc__ in " ".join(output.split())


@pytest.mark.parametrize("option", ["--help", "--version"])
@pytest.mark.parametrize(
    "start", ["from pixelbayes.cli import main; main(sys.argv[1:])", "runpy.run_module('pixelbayes')"]
)
def test_help_and_version_import_nothing_heavy(option, start):
    if "runpy" in start:
        start = (
            "try: runpy.run_module('pixelbayes', run_name='__main__')\nexcept SystemExit as end: assert end.code == 0"
        )
    code = f"import runpy, sys\n{start}\nprint('imported:', *sorted(name for name in sys.modules if '.' not in name))"
    output = subprocess.run(
        [sys.executable, "-c", code, option], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    ).stdout
    imported = output.rpartition("imported:")[2].split()
    assert "pixelbayes" in imported
    assert not {"torch", "lightning", "jsonargparse", "numpy", "matplotlib", "rich", "yaml", "PIL"} & set(imported)
    if option == "--version":
        assert output.startswith(f"pixelbayes {__version__}\n")


def test_the_installed_command_is_python_m_pixelbayes():
    commands = [[str(Path(sys.executable).with_name("pixelbayes"))], [sys.executable, "-m", "pixelbayes"]]
    outputs = [subprocess.run([*command, "--help"], capture_output=True, check=True).stdout for command in commands]
    assert outputs[0] == outputs[1]


def test_a_dry_run_shows_config_size_time_and_memory_and_writes_nothing(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train(pictures, "run", "--dry-run") == 0
    config, _, table = capsys.readouterr().out.partition("\n\n")
    assert yaml.safe_load(config)["training"]["epochs"] == 4
    for piece in ("parameters", "36 to train, 12 to validate, 3 classes", "ms for 8 images", "4 epochs", "GiB"):
        assert piece in table
    assert list(tmp_path.iterdir()) == []


def test_without_out_a_run_folder_is_made_under_runs_and_its_name_printed(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", str(pictures), *TINY.split(), "--epochs", "1"]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.endswith("-pictures-film")
    assert f"run folder: runs/{run.name}\n" in capsys.readouterr().out
    assert (run / "index.html").is_file()


def test_the_demo_trains_on_digits_and_reports_on_their_test_split(tmp_path, monkeypatch, finished_run):
    figures, asked = json.loads((finished_run / "metrics.json").read_text()), []
    monkeypatch.setattr(experiment, "train", lambda *inputs, **options: asked.append((inputs, options)) or figures)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    assert asked == [((PRESETS["digits"], tmp_path / "demo"), {"report_on": "test"})]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (DivergedError("the loss became nan at step 5"), 1, "the loss became nan at step 5"),
        (InterruptedRunError("stopped; go on", signal=2), 130, "stopped; go on"),
        (InterruptedRunError("stopped; go on", signal=15), 143, "stopped; go on"),
        (KeyboardInterrupt(), 130, "stopped"),
        (
            OSError(28, "No space left on device", "run/best.safetensors"),
            2,
            "run/best.safetensors: No space left on device",
        ),
        (OSError("a socket"), 2, "a socket"),
    ],
)
def test_each_end_has_its_status_and_one_line(error, status, said, tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(experiment, "train", fail)
    assert main(["train", "--out", str(tmp_path / "run")]) == status
    assert capsys.readouterr().err == f"pixelbayes: {said}\n"


def test_a_run_that_diverges_ends_with_status_1_and_names_the_step(pictures, tmp_path, capsys):
    assert train(pictures, tmp_path, "--learning_rate", "1e30", "--warmup_steps", "0", "--gradient_clip", "0") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("pixelbayes: the ")
    assert " at step " in last
    assert "the last good weights are kept" in last


def test_a_report_puts_several_runs_side_by_side(run, classifier_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(run), str(classifier_run)]) == 0
    (page,) = Path("runs").glob("*-report/index.html")
    assert f"open {page}\n" == capsys.readouterr().out
    assert all(name in page.read_text() for name in (run.name, classifier_run.name))
    assert main(["report", str(run), "--out", "deep/one.html"]) == 0
    assert Path("deep/one.html").is_file()


@pytest.fixture
def generate(finished_run, classifier_run, pictures, tmp_path, monkeypatch):
    """`pixelbayes course generate` where nothing is yet; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    fixed = ["--data", str(pictures), "--classifier", str(classifier_run), "--device", "cpu"]
    return lambda *options: main(["course", "generate", str(finished_run), *fixed, *options])


def test_the_course_has_25_samples_of_each_class_and_their_distance_to_the_test_images(generate, pictures, capsys):
    assert generate() == 0
    names = sorted(path.name for path in Path("samples").glob("*.png"))
    assert names == [f"{name}-{index:04d}.png" for name in CLASSES for index in range(25)]
    output = capsys.readouterr().out
    assert "75 images, 25 a class, in samples" in output
    assert f"against {pictures}, test, 6 x 8" in " ".join(output.split())
    assert "│ all" in output


def test_the_courses_samples_are_drawn_once_and_others_refused(generate, capsys):
    generate()
    written = {path: path.stat().st_mtime_ns for path in Path("samples").iterdir()}
    assert generate() == 0
    assert generate("--seed", "1") == 2
    assert capsys.readouterr().err.endswith(
        "samples: holds other samples (seed 0 there, 1 now); name another, or --overwrite\n"
    )
    assert {path: path.stat().st_mtime_ns for path in Path("samples").iterdir()} == written
    assert generate("--seed", "1", "--overwrite") == 0
    assert {path: path.stat().st_mtime_ns for path in Path("samples").iterdir()} != written


def test_the_course_is_told_the_accuracy_on_validation_and_given_predictions_for_test(
    finished_run, pictures, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for split, label in (("train", "{}"), ("validation", "{}"), ("test", "-1")):  # as the course's: test has none
        rows = [f"{pictures}/{split}/{name}/0{index}.png" for name in CLASSES for index in range(4)]
        lines = [f"{row},{label.format(Path(row).parent.name)}" for row in rows]
        Path(f"{split}.csv").write_text("\n".join(lines) + "\n")
    assert main(["course", "classify", str(finished_run), "--data", "csv:.", "--device", "cpu"]) == 0
    head, *rows = Path("submission.csv").read_text().splitlines()
    assert head == "id,label"
    assert [row.rpartition(",")[2] for row in rows] == ["0"] * 4 + ["1"] * 4 + ["2"] * 4  # all are told apart
    output = capsys.readouterr().out
    assert "csv:., validation" in output
    assert "accuracy" in output
    assert "12 predictions in submission.csv" in output


@pytest.mark.slow
def test_wandb_logs_offline(pictures, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pixelbayes", "train", "--data", str(pictures), "--out", str(tmp_path / "run")]
    ended = subprocess.run(
        [*command, *TINY.split(), "--epochs", "1", "--logger", "wandb"], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    logs = list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert [log.stat().st_size > 0 for log in logs] == [True]
    assert b"val/bits_per_dim" in logs[0].read_bytes()
    assert (tmp_path / "run" / "index.html").is_file()
