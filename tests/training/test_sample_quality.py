import csv
import math
import signal
from types import SimpleNamespace

import pytest
import torch
from launched import MeanColour
from networks import tiny_model
from runs import CLASSES, sending, tiny_images, tiny_module, train

from pixelbayes.evaluation.history import read_history
from pixelbayes.evaluation.sample_quality import measure_quality
from pixelbayes.inference import SamplingConfig, sample_classes
from pixelbayes.training.fit import fit
from pixelbayes.training.sample_quality import QualityCheck
from pixelbayes.utils.errors import InterruptedRunError
from pixelbayes.utils.run_folder import RunFolder

COLUMNS = [f"quality/{metric}{name}" for name in ("", *(f"/{name}" for name in CLASSES)) for metric in ("fid", "kid")]


def check(every=1, count=3, num_reference=12):
    reference = tiny_images(validation=num_reference).split("validation")
    return QualityCheck(MeanColour(), reference, CLASSES, every, SamplingConfig(count=count, seed=7))


def quality(row):
    return {name: value for name, value in row.items() if name.startswith("quality/")}


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A run of three epochs that is checked after the second and the third."""
    module, run = tiny_module(epochs=3), tmp_path_factory.mktemp("checked")
    return SimpleNamespace(module=module, history=fit(module, run, quality_check=check(every=2)), run=run)


def test_every_second_epoch_and_the_last_are_checked_and_the_others_have_nan(checked):
    assert [list(quality(row)) for row in checked.history] == [COLUMNS] * 3
    assert all(math.isnan(value) for value in quality(checked.history[0]).values())
    assert all(math.isfinite(value) for row in checked.history[1:] for value in quality(row).values())
    for row, written in zip(checked.history, read_history(RunFolder(checked.run).history), strict=True):
        assert written == pytest.approx(row, nan_ok=True)


def test_the_metrics_are_those_of_samples_from_the_averaged_weights(checked):
    samples = sample_classes(checked.module.average, range(3), SamplingConfig(count=3, seed=7))
    reference = check().reference
    found = measure_quality(samples, 5, CLASSES, reference=reference, reference_name="", extractor=MeanColour())
    for name, distance in {"": found.overall, **{f"/{name}": each for name, each in found.per_class.items()}}.items():
        assert checked.history[-1][f"quality/fid{name}"] == pytest.approx(distance.fid)
        assert checked.history[-1][f"quality/kid{name}"] == pytest.approx(distance.kid)


def test_checking_samples_does_not_change_training_and_a_resumed_run_has_the_same_metrics(checked, tmp_path):
    with pytest.raises(InterruptedRunError):
        fit(tiny_module(sending(signal.SIGINT, step=8), epochs=3), tmp_path, quality_check=check(every=2))  # in epoch 3
    resumed = tiny_module(epochs=3)
    history = fit(resumed, tmp_path, quality_check=check(every=2))
    assert list(map(str, map(quality, history))) == list(map(str, map(quality, checked.history)))  # NaN equals NaN
    assert quality(history[1]) != quality(history[2])
    assert all(map(torch.equal, resumed.network.state_dict().values(), checked.module.network.state_dict().values()))


def test_a_metric_that_cannot_be_computed_is_nan():
    few = check(count=2, num_reference=2).metrics(tiny_model(), epoch=1, epochs=1)  # one image of two classes each
    assert math.isfinite(few["quality/fid"])
    assert all(math.isnan(few[f"quality/fid/{name}"]) for name in CLASSES)
    assert math.isnan(check(count=1).metrics(tiny_model(), epoch=1, epochs=1)["quality/fid/cat"])


@pytest.mark.slow
def test_a_run_with_fid_every_has_the_metrics_in_its_history_and_in_its_report(pictures, tmp_path, quick_recipe):
    options = ("--fid-every", 2, "--fid-samples", 3, "--epochs", 3, "--samples-per-class", 1, "--sample-every", 0)
    assert train(pictures, tmp_path, *options) == 0
    folder = RunFolder(tmp_path)
    with folder.history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["quality/fid/owl"] == "nan" for row in rows] == [True, False, False]
    assert {path.name for path in folder.figures.iterdir()} >= {"quality.png", "quality.svg"}
    assert "data:image" in folder.page.read_text()
