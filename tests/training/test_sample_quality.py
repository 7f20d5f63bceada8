import csv
import math
import signal

import pytest
import torch
from runs import CLASSES, tiny_images, tiny_module, train
from test_callbacks import asking

from pixelbayes.evaluation.history import HISTORY, read_history
from pixelbayes.evaluation.sample_quality import measure_quality
from pixelbayes.inference import sample_classes
from pixelbayes.training.fit import fit
from pixelbayes.training.sample_quality import QualityCheck
from pixelbayes.utils.errors import InterruptedRunError

COLUMNS = [f"quality/{measure}{of}" for of in ("", *(f"/{name}" for name in CLASSES)) for measure in ("fid", "kid")]


class MeanColour:
    """An extractor of three features."""

    name, dims = "mean-colour", 3

    def __call__(self, pixels, levels, track=None):
        return pixels.double().mean(dim=(2, 3)) / (levels - 1)


def check(every=2, count=3, reference=None):
    return QualityCheck(
        MeanColour(), reference or tiny_images(validation=12).split("validation"), CLASSES, every, count, 7
    )


def figures(row):
    return {name: value for name, value in row.items() if name.startswith("quality/")}


def test_every_second_epoch_and_the_last_are_measured_and_the_others_are_nan(tmp_path):
    kept = fit(tiny_module(epochs=5), tmp_path, {}, check(every=2))
    assert [list(figures(row)) for row in kept] == [COLUMNS] * 5
    for number, row in enumerate(kept, 1):
        measured = number in (2, 4, 5)
        assert [math.isfinite(value) for value in figures(row).values()] == [measured] * 8
    for row, written in zip(kept, read_history(tmp_path / HISTORY), strict=True):
        assert written == pytest.approx(row, nan_ok=True)


def test_figures_are_those_of_the_samples_of_the_averaged_weights(tmp_path):
    module, quality = tiny_module(epochs=1), check(every=1, count=4)
    (row,) = fit(module, tmp_path, {}, quality)
    samples = sample_classes(module.average, range(3), 4, seed=7)
    found = measure_quality(samples, 5, CLASSES, reference=quality.reference, reference_name="", extractor=MeanColour())
    expected = {"": found.overall, **{f"/{name}": distance for name, distance in found.per_class.items()}}
    for of, distance in expected.items():
        assert row[f"quality/fid{of}"] == pytest.approx(distance.fid)
        assert row[f"quality/kid{of}"] == pytest.approx(distance.kid)


def test_measuring_samples_does_not_change_what_is_learnt(tmp_path):
    plain, measured = tiny_module(epochs=2), tiny_module(epochs=2)
    fit(plain, tmp_path / "plain", {})
    fit(measured, tmp_path / "measured", {}, check(every=1))
    assert all(map(torch.equal, plain.network.state_dict().values(), measured.network.state_dict().values()))


def test_a_resumed_run_goes_on_with_its_figures(tmp_path):
    whole = fit(tiny_module(epochs=3), tmp_path / "whole", {}, check(every=1))
    with pytest.raises(InterruptedRunError):
        fit(tiny_module(asking(signal.SIGINT, step=5), epochs=3), tmp_path / "stopped", {}, check(every=1))
    assert len(read_history(tmp_path / "stopped" / HISTORY)) == 1
    resumed = fit(tiny_module(epochs=3), tmp_path / "stopped", {}, check(every=1))
    assert list(map(figures, resumed)) == list(map(figures, whole))
    assert len({row["quality/fid"] for row in whole}) == 3


@pytest.mark.slow
def test_of_several_processes_one_measures_and_the_figures_are_those_of_one_alone(tmp_path):
    (alone,) = fit(tiny_module(epochs=1), tmp_path / "alone", {}, check(every=1))
    (shared,) = fit(tiny_module(epochs=1, devices=2), tmp_path / "shared", {}, check(every=1))
    assert list(figures(shared)) == COLUMNS
    assert figures(shared) == pytest.approx(figures(alone), rel=1e-3, abs=1e-4)


def test_what_cannot_be_measured_is_nan_and_training_goes_on(tmp_path):
    reference = tiny_images(validation=2).split("validation")  # none of the third class, and one of each other
    (row,) = fit(tiny_module(epochs=1), tmp_path / "few", {}, check(every=1, count=2, reference=reference))
    assert math.isfinite(row["quality/fid"])
    assert all(math.isnan(row[f"quality/fid/{name}"]) for name in CLASSES)
    alone = fit(tiny_module(epochs=2), tmp_path / "one", {}, check(every=1, count=1))
    assert [math.isnan(row["quality/fid/cat"]) for row in alone] == [True, True]


def test_a_run_that_asks_for_quality_has_it_in_its_history_and_on_its_page(pictures, tmp_path, quick_recipe):
    asked = ("--quality_every", 2, "--quality_samples", 3, "--epochs", 3, "--samples_per_class", 1)
    assert train(pictures, tmp_path, *asked) == 0
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["quality/fid/owl"] == "nan" for row in rows] == [True, False, False]
    assert {path.name for path in (tmp_path / "figures").iterdir()} >= {"quality.png", "quality.svg"}
    assert "data:image" in (tmp_path / "index.html").read_text()
