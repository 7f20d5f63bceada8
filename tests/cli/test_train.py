"""`train`, `baseline`, `compare` and `demo`, from options to printed results."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from runs import TINY, train

from pixelbayes import experiments
from pixelbayes.cli import main
from pixelbayes.experiments.presets import PRESETS


def test_a_dry_run_shows_config_size_time_and_memory_and_writes_nothing(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train(pictures, "run", "--dry-run", "--patience", 2, "--find-learning-rate", "true") == 0
    config, _, table = capsys.readouterr().out.partition("\n\n")
    assert yaml.safe_load(config)["training"]["epochs"] == 4
    for part in ("parameters", "36 for training, 12 for validation, 3 classes", "ms for 8 images", "GiB"):
        assert part in table
    for part in ("found first, in a range test of", " around 0.02", "at most 0 minutes: 4 epochs"):
        assert part in table
    assert list(tmp_path.iterdir()) == []


def test_without_out_a_new_run_folder_under_runs_is_named_by_data_and_fusion(
    pictures, tmp_path, monkeypatch, capsys, finished_run
):
    metrics, folders = json.loads((finished_run / "metrics.json").read_text()), []
    monkeypatch.setattr(experiments, "train", lambda config, run, **_: folders.append(run) or metrics)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", f"folder:{pictures}", "--fusion", "film:bounded+adaln", *TINY.split()]) == 0
    (run,) = folders
    assert run.parent.name == "runs"
    assert run.name.endswith("-pictures-film_bounded_adaln")
    assert f"run folder: {run}\nopen {run}/index.html\n" in capsys.readouterr().out


def test_the_demo_trains_on_digits_and_measures_their_test_split(tmp_path, monkeypatch, finished_run):
    metrics, calls = json.loads((finished_run / "metrics.json").read_text()), []
    monkeypatch.setattr(experiments, "train", lambda *inputs, **options: calls.append((inputs, options)) or metrics)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    assert calls == [((PRESETS["digits"], tmp_path / "demo"), {"eval_split": "test"})]


def test_a_diverged_run_ends_with_status_1_and_names_the_step(pictures, tmp_path, capsys):
    assert train(pictures, tmp_path, "--learning-rate", "1e30", "--warmup-steps", "0", "--gradient-clip", "0") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("pixelbayes: the ")
    assert " at step " in last
    assert "the saved weights are from before" in last


def test_a_comparison_takes_names_seeds_and_an_image_size(tmp_path, monkeypatch, capsys):
    calls = []

    def compare(names, base, seeds, out, **options):
        calls.append((names, base.data.image_size, seeds, options))
        out.mkdir()
        (out / "compare.md").write_text("| entry |")

    monkeypatch.setattr("pixelbayes.experiments.compare.compare", compare)
    options = "--image-size 6 8 --seeds 0 1 --eval-split test --samples 3 --features inception-64 --note Words."
    assert main(["compare", "film", "gate-add", *options.split(), "--out", str(tmp_path / "out")]) == 0
    ((names, size, seeds, others),) = calls
    assert (names, size, seeds) == (["film", "gate-add"], (6, 8), [0, 1])
    features = experiments.FeatureConfig(features="inception-64")
    assert others == {"eval_split": "test", "workers": 1, "samples": 3, "features": features, "note": "Words."}
    assert "| entry |" in capsys.readouterr().out


@pytest.mark.slow
def test_wandb_logs_offline(pictures, tmp_path):
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
