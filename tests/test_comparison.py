import json
from dataclasses import replace

import pytest
import yaml

from pixelbayes import comparison
from pixelbayes.comparison import Row, compare, contenders
from pixelbayes.data import DataConfig
from pixelbayes.errors import InputError, InterruptedRunError
from pixelbayes.experiment import ExperimentConfig
from pixelbayes.model import Architecture
from pixelbayes.presets import PRESETS
from pixelbayes.training import TrainingConfig

BASE = ExperimentConfig(
    data=DataConfig(source="digits", validation_fraction=0.05, test_fraction=0.9),
    model=Architecture(num_filters=4, num_mixtures=1),
    training=TrainingConfig(epochs=2, batch_size=32, samples_per_class=1, sample_every=0, logger="none", device="cpu"),
)


def test_a_fusion_changes_the_fusion_alone():
    (contender,) = contenders(["gate-add"], BASE)
    assert contender.config == replace(BASE, model=replace(BASE.model, fusion="gate-add"))


def test_a_preset_keeps_its_model_and_takes_data_and_budget_of_the_comparison():
    (contender,) = contenders(["report-002"], BASE)
    assert contender.config.model == PRESETS["report-002"].model
    assert contender.config.data == BASE.data
    assert contender.config.training.epochs == 2
    assert contender.config.training.learning_rate == PRESETS["report-002"].training.learning_rate


@pytest.mark.parametrize(("names", "message"), [(["flim"], "did you mean film"), (["film", "film"], "stands twice")])
def test_names_that_cannot_be_compared_are_refused(names, message):
    with pytest.raises(InputError, match=message):
        contenders(names, BASE)


def test_a_row_gives_mean_and_deviation_over_seeds():
    row = Row("film")
    row.add(accuracy=0.9)
    assert row.cell("accuracy", 3) == "0.900"
    row.add(accuracy=0.8)
    assert row.cell("accuracy", 3) == "0.850 ± 0.071"
    assert row.cell("bits_per_dim", 3) == ""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A comparison in which one contender fails."""
    out = tmp_path_factory.mktemp("compare")
    base = replace(BASE, training=replace(BASE.training, learning_rate=1e-3))
    rows = compare(["film", "one-hot-map"], base, [0, 1], out, report_on="test")
    return out, base, rows


@pytest.mark.slow
def test_a_comparison_ends_in_a_table_with_a_row_for_each_name(finished):
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
def test_what_has_ended_is_not_run_again(finished, monkeypatch):
    out, base, _ = finished
    monkeypatch.setattr(comparison, "run_one", lambda *_: pytest.fail("ran again"))
    rows = compare(["film", "one-hot-map"], base, [0, 1], out, report_on="test", note="Late labels learn slowly.")
    assert len(rows[0].histories) == 2
    for page in ("compare.md", "index.html"):
        assert "Late labels learn slowly." in (out / page).read_text(encoding="utf-8")


@pytest.mark.slow
def test_another_comparison_in_the_same_folder_is_refused(finished):
    out, base, _ = finished
    with pytest.raises(InputError, match="differs from what was asked in seeds"):
        compare(["film", "one-hot-map"], base, [0], out, report_on="test")


def test_a_run_that_fails_is_a_row_that_says_why_and_the_others_go_on(tmp_path, monkeypatch):
    def train(contender, seed, run, report_on):
        if contender.name == "film":
            raise InputError("no such luck")
        figures = {"accuracy": 0.5, "bits_per_dim": 2.0, "epoch": 1, "parameters": 7, "images_per_second": 9.0}
        run.mkdir(parents=True)
        (run / "metrics.json").write_text(json.dumps(figures))
        (run / "history.csv").write_text("epoch,val/accuracy,val/bits_per_dim,images_per_second\n1,0.5,2.0,10\n")

    monkeypatch.setattr(comparison.Contender, "train", train)
    film, gate = compare(["film", "gate-add"], BASE, [0], tmp_path)
    assert film.failures == ["seed 0: no such luck"]
    assert gate.parameters == 7
    assert "no such luck" in (tmp_path / "compare.md").read_text()
    assert "no such luck" in (tmp_path / "index.html").read_text()


def test_a_comparison_that_is_asked_to_stop_stops(tmp_path, monkeypatch):
    def train(*_):
        raise InterruptedRunError("stopped", 2)

    monkeypatch.setattr(comparison.Contender, "train", train)
    with pytest.raises(InterruptedRunError):
        compare(["film", "gate-add"], BASE, [0], tmp_path)
    assert not list(tmp_path.rglob("failure.txt"))


@pytest.mark.slow
def test_runs_side_by_side_give_what_runs_in_turn_give(finished, tmp_path):
    out, base, _ = finished
    compare(["film", "one-hot-map"], base, [0, 1], tmp_path, report_on="test", workers=2)
    for run in ("film/seed-1", "one-hot-map/seed-0"):
        one, other = (json.loads((folder / run / "metrics.json").read_text()) for folder in (out, tmp_path))
        for name in ("accuracy", "bits_per_dim"):  # another number of threads rounds otherwise
            assert one[name] == pytest.approx(other[name], abs=0.02)
        assert (tmp_path / run / "log.txt").read_text().count("epoch ") == 2
