"""Comparisons: entries, runs one after another and in parallel, and the table."""

import csv
import json
from dataclasses import replace

import pytest
import yaml
from runs import QUICK

from pixelbayes.cli import main
from pixelbayes.data import DataConfig
from pixelbayes.experiments import ExperimentConfig, FeatureConfig, workers
from pixelbayes.experiments.baseline import BASELINES, ClassifierArchitecture
from pixelbayes.experiments.compare import Entry, Row, compare, make_entries
from pixelbayes.experiments.presets import PRESETS
from pixelbayes.models.pixelcnn import Architecture
from pixelbayes.report import results
from pixelbayes.training import TrainingConfig
from pixelbayes.utils.errors import InputError, InterruptedRunError

BASE = ExperimentConfig(
    data=DataConfig(levels=8),
    model=Architecture(num_filters=4, num_mixtures=1),
    training=TrainingConfig(epochs=2, batch_size=8, samples_per_class=1, sample_every=0, logger="none", device="cpu"),
)


def test_a_fusion_replaces_only_the_fusion_of_the_base():
    (entry,) = make_entries(["gate-add"], BASE)
    assert entry.config == replace(BASE, model=replace(BASE.model, fusion="gate-add"))


def test_a_preset_keeps_its_model_and_takes_data_and_budget_from_the_base():
    base = replace(BASE, training=replace(BASE.training, patience=3))
    entry, dedicated = make_entries(["report-002", "baseline"], base)
    assert entry.config.training.patience == dedicated.config.training.patience == 3
    assert entry.config.model == PRESETS["report-002"].model
    assert entry.config.data == BASE.data
    assert entry.config.training.epochs == 2
    assert entry.config.training.learning_rate == PRESETS["report-002"].training.learning_rate


def test_a_network_of_timm_is_a_dedicated_classifier_with_the_data_and_budget_of_the_base():
    baseline, entry = make_entries(["baseline", "timm:resnet18"], BASE)
    assert entry.config == replace(baseline.config, model=ClassifierArchitecture(network="timm:resnet18"))
    assert entry.config.training.epochs == 2


@pytest.mark.parametrize(("names", "message"), [(["flim"], "did you mean film"), (["film", "film"], "occurs twice")])
def test_an_unknown_name_and_a_repeated_name_are_errors(names, message):
    with pytest.raises(InputError, match=message):
        make_entries(names, BASE)


def test_a_cell_has_the_mean_over_seeds_and_their_standard_deviation():
    row = Row("film")
    row.add(accuracy=0.9)
    assert row.cell("accuracy", 3) == "0.900"
    row.add(accuracy=0.8)
    assert row.cell("accuracy", 3) == "0.850 ± 0.071"
    assert row.cell("bits_per_dim", 3) == ""


@pytest.fixture(scope="module")
def finished(pictures, tmp_path_factory):
    """A comparison of two fusions with two seeds: its folder, base config and rows."""
    out = tmp_path_factory.mktemp("compare")
    base = replace(BASE, data=replace(BASE.data, source=str(pictures)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "plots_of", lambda _: {})  # the comparison has its own
        rows = compare(["film", "one-hot-map"], base, [0, 1], out, eval_split="test")
    return out, base, rows


@pytest.mark.slow
def test_the_table_has_a_row_for_each_entry(finished):
    out, _, rows = finished
    assert [row.name for row in rows] == ["film", "one-hot-map"]
    table = (out / "compare.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table[2:4]] == ["| film", "| one-hot-map"]
    assert "±" in table[2]
    assert "test accuracy" in table[0]
    assert (out / "compare.csv").read_text().count("\n") == 3
    assert "film" in (out / "index.html").read_text()
    assert yaml.safe_load((out / "compare.yaml").read_text())["seeds"] == [0, 1]


@pytest.mark.slow
def test_a_finished_run_is_not_repeated(finished, monkeypatch):
    out, base, _ = finished
    monkeypatch.setattr(workers, "run_job", lambda *_: pytest.fail("ran again"))
    rows = compare(["film", "one-hot-map"], base, [0, 1], out, eval_split="test", note="Late labels learn slowly.")
    assert len(rows[0].histories) == 2
    for page in ("compare.md", "index.html"):
        assert "Late labels learn slowly." in (out / page).read_text(encoding="utf-8")


@pytest.mark.slow
def test_another_comparison_in_the_same_folder_is_an_error(finished):
    out, base, _ = finished
    with pytest.raises(InputError, match="has other values of seeds"):
        compare(["film", "one-hot-map"], base, [0], out, eval_split="test")


@pytest.fixture(scope="module")
def with_samples(pictures, tmp_path_factory):
    """A comparison whose samples were added after its runs had ended: its folder and base config."""
    out = tmp_path_factory.mktemp("with_samples")
    base = replace(BASE, data=replace(BASE.data, source=str(pictures)), training=replace(BASE.training, epochs=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BASELINES, "photographs", QUICK)
        patch.setattr(results, "plots_of", lambda _: {})
        compare(["film", "baseline"], base, [0], out)
        compare(["film", "baseline"], base, [0], out, samples=3)
    return out, base


@pytest.mark.slow
def test_samples_add_two_columns_and_a_legend(with_samples):
    out, base = with_samples
    with (out / "compare.csv").open(newline="") as file:
        film, baseline = csv.DictReader(file)
    quality = json.loads((out / "film/seed-0/evaluation/pictures-validation/quality.json").read_text())
    assert (film["FID"], film["KID"]) == (f"{quality['fid']:.2f}", f"{quality['kid']:.4f}")
    assert (baseline["FID"], baseline["KID"]) == ("", "")  # a classifier draws no samples
    legend = f"FID and KID of 9 samples on {quality['extractor']}, against {base.data.source}, validation, 6 x 8."
    assert quality["extractor"].startswith("classifier-")
    for page in ("compare.md", "index.html"):
        assert legend in (out / page).read_text(encoding="utf-8")


@pytest.mark.slow
def test_existing_samples_are_not_drawn_again(with_samples, monkeypatch, quick_recipe, without_plots):
    out, base = with_samples
    table = (out / "compare.csv").read_text()
    monkeypatch.setattr(
        "pixelbayes.experiments.sample_quality.sample_images", lambda *_, **__: pytest.fail("drew again")
    )
    for name in ("none", "quality.json", "metrics.json"):  # killed at the end, or before the metrics were written
        (out / "film/seed-0/evaluation/pictures-validation" / name).unlink(missing_ok=True)
        compare(["film", "baseline"], base, [0], out, samples=3)
        assert (out / "compare.csv").read_text() == table


@pytest.mark.slow
def test_another_number_of_samples_is_an_error(with_samples, quick_recipe):
    out, base = with_samples
    with pytest.raises(InputError, match="has other values of samples; give another --out"):
        compare(["film", "baseline"], base, [0], out, samples=4)


def test_unknown_features_are_an_error_before_anything_is_trained(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "run_job", lambda *_: pytest.fail("trained"))
    base = replace(BASE, data=DataConfig(source=str(pictures)))
    with pytest.raises(InputError, match="features is 'vgg'"):
        compare(["film"], base, [0], tmp_path / "out", samples=2, features=FeatureConfig(features="vgg"))


@pytest.mark.slow
def test_the_ablation_of_report_002_is_one_command(pictures, tmp_path, quick_recipe, without_plots, capsys):
    options = "--levels 8 --epochs 1 --batch-size 36 --samples-per-class 1 --sample-every 0 --logger none --device cpu"
    command = ["compare", "report-002", "report-002-middle", "--data", str(pictures), *options.split()]
    assert main([*command, "--seeds", "0", "--samples", "2", "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out/compare.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["entry"] for row in rows] == ["report-002", "report-002-middle"]
    for row in rows:
        assert float(row["validation bits/dim"]) > 0
        assert float(row["FID"]) > 0
        assert row["KID"]
    assert "FID and KID of 6 samples" in capsys.readouterr().out


def test_a_failed_run_is_a_row_with_the_reason_and_the_others_continue(tmp_path, monkeypatch):
    def train(entry, seed, folder, eval_split, data, on_epoch):
        run = folder.path
        if entry.name == "film":
            raise InputError("no such luck")
        metrics = {"accuracy": 0.5, "bits_per_dim": 2.0, "epoch": 1, "parameters": 7, "images_per_second": 9.0}
        (run / "metrics.json").write_text(json.dumps(metrics))
        (run / "history.csv").write_text("epoch,val/accuracy,val/bits_per_dim,images_per_second\n1,0.5,2.0,10\n")

    monkeypatch.setattr(Entry, "train", train)
    film, gate = compare(["film", "gate-add"], BASE, [0], tmp_path)
    assert film.failures == ["seed 0: no such luck"]
    assert gate.num_parameters == 7
    assert "no such luck" in (tmp_path / "compare.md").read_text()
    assert "no such luck" in (tmp_path / "index.html").read_text()


def test_an_interrupted_run_stops_the_comparison(tmp_path, monkeypatch):
    def train(*_):
        raise InterruptedRunError("stopped", 2)

    monkeypatch.setattr(Entry, "train", train)
    with pytest.raises(InterruptedRunError):
        compare(["film", "gate-add"], BASE, [0], tmp_path)
    assert not list(tmp_path.rglob("failure.txt"))


@pytest.mark.slow
def test_parallel_runs_have_the_results_of_runs_one_after_another(finished, tmp_path):
    out, base, _ = finished
    compare(["film", "one-hot-map"], base, [1], tmp_path, eval_split="test", workers=2)
    for run in ("film/seed-1", "one-hot-map/seed-1"):
        one, other = (json.loads((folder / run / "metrics.json").read_text()) for folder in (out, tmp_path))
        for name in ("accuracy", "bits_per_dim"):  # rounding depends on the number of threads
            assert one[name] == pytest.approx(other[name], abs=0.02)
        assert (tmp_path / run / "log.txt").read_text().count("epoch ") == 2
