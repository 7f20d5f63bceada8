from pathlib import Path

import numpy as np
import pytest
import torch

from pixelbayes.checkpoints.bundled import FOLDER, bundled_names
from pixelbayes.checkpoints.checkpoint import load, save
from pixelbayes.data import DataConfig, load_data
from pixelbayes.evaluation.measure import measure
from pixelbayes.images.pixels import to_x

VECTORS = Path(__file__).parents[1] / "vectors" / "bundled.npz"
PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "data" / "cpen455"


def test_the_bundled_files_are_small_enough_for_the_package():
    assert bundled_names() == ["digits", "food-and-fur"]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 24 * 2**20


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_network_loads_by_name_in_float32_with_calibration_and_provenance(name):
    trained = load(name)
    assert {weight.dtype for weight in trained.network.parameters()} == {torch.float32}
    assert not trained.stale_calibration
    assert trained.calibration.views <= trained.network.config.views
    assert trained.calibration.ood is not None
    assert trained.provenance.command.startswith("pixelbayes ")
    assert trained.provenance.data.source in ("digits", "csv:cpen455")
    assert {"val/accuracy", "val/bits_per_dim"} <= trained.provenance.metrics.keys()


@pytest.mark.parametrize("name", bundled_names())
def test_the_card_states_the_digest_command_and_classes_of_its_network(name):
    trained = load(name)
    card = " ".join((FOLDER / f"{name}.md").read_text(encoding="utf-8").split())  # a command may span lines
    for fact in (f"Weights {trained.digest},", f"`{trained.provenance.command}`", *trained.class_names):
        assert fact in card


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_network_computes_the_recorded_log_probabilities(name):
    trained, vectors = load(name), np.load(VECTORS)
    expected = torch.from_numpy(vectors[f"{name} log_prob"])  # (N, Y)
    x = to_x(torch.from_numpy(vectors[f"{name} pixels"]), trained.image_shape.levels, torch.float64)
    network = trained.network.double()
    found = torch.stack([network.log_prob(x, torch.full((len(x),), c)) for c in range(expected.shape[1])], dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    assert found.argmax(dim=1).tolist() == list(range(len(x)))  # one sample of each class


def test_the_digits_network_has_its_recorded_metrics_on_the_first_test_images():
    split = load_data(DataConfig()).split("test").take(torch.arange(90))
    measurement = measure(load("digits"), split)
    assert (measurement.views, measurement.combine) == (2, "product")
    assert measurement.classification.accuracy == pytest.approx(88 / 90, abs=1.1 / 90)  # rounding may change an image
    assert measurement.bits_per_dim == pytest.approx(1.6307, abs=2e-4)


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the course's photographs are not in ../shared/data/cpen455")
def test_the_photograph_network_has_the_metrics_of_its_card():
    data = load_data(DataConfig(source=f"csv:{PHOTOGRAPHS}", image_size=(32, 32)))
    measurement = measure(load("food-and-fur"), data.split("validation"))
    assert (measurement.views, measurement.combine) == (2, "product")
    assert measurement.classification.accuracy == pytest.approx(0.9191, abs=0.005)  # an image or two may change
    assert measurement.bits_per_dim == pytest.approx(3.7123, abs=0.001)


def test_a_folder_of_that_name_has_priority(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digits = load("digits")
    save(digits, tmp_path / "food-and-fur" / "best.safetensors")
    assert load("food-and-fur").digest == digits.digest
