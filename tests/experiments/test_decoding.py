"""Every command decodes the images of a source once, because this takes minutes for large data."""

import json
from importlib import import_module

import pytest
from runs import TINY

from pixelbayes.cli import main
from pixelbayes.report.results import metrics_of
from pixelbayes.utils.files import write_text
from pixelbayes.utils.run_folder import RunFolder


@pytest.fixture(autouse=True)
def metrics_only(monkeypatch, tmp_path, quick_recipe):
    """Writes only the metrics of each measurement, and makes the cache empty."""

    def write(folder, trained, measurement, *, source, split, more=None, **_):
        metrics = {**metrics_of(trained, measurement, source, split), **(more or {})}
        write_text(RunFolder(folder).metrics, json.dumps(metrics))
        return metrics

    for module in ("baseline", "train", "evaluate"):
        monkeypatch.setattr(import_module(f"pixelbayes.experiments.{module}"), "write_results", write)
    monkeypatch.setenv("PIXELBAYES_CACHE", str(tmp_path / "cache"))


def test_evaluating_samples_decodes_once_with_and_without_a_cached_classifier(
    finished_run, pictures, tmp_path, decodings
):
    command = ["evaluate", str(finished_run), "--data", str(pictures), "--device", "cpu", "--samples", "2"]
    for count in (1, 2):
        assert main([*command, "--out", str(tmp_path / str(count))]) == 0
        assert len(decodings) == count


def test_comparing_two_entries_with_samples_decodes_once(pictures, tmp_path, decodings):
    command = ["compare", "film", "baseline", "--data", str(pictures), *TINY.split(), "--epochs", "1"]
    assert main([*command, "--seeds", "0", "--samples", "2", "--out", str(tmp_path / "out")]) == 0
    assert "| film |" in (tmp_path / "out/compare.md").read_text()
    assert len(decodings) == 1
