import csv
import json
from dataclasses import replace

import pytest
import torch

from pixelbayes.checkpoints.checkpoint import load_baseline
from pixelbayes.data import AugmentationConfig, DataConfig, load_data
from pixelbayes.evaluation.measure import measure_baseline
from pixelbayes.experiments.baseline import BASELINES, BaselineConfig, build_resnet, train_baseline
from pixelbayes.models.resnet import ResNetArchitecture
from pixelbayes.training import ClassifierTrainingConfig
from pixelbayes.utils.errors import InputError

TINY = BaselineConfig(
    data=DataConfig(source="digits"),
    augmentation=AugmentationConfig(crop=1),
    model=ResNetArchitecture(widths=(8, 16), blocks=(1, 1)),
    training=ClassifierTrainingConfig(epochs=4, warmup_steps=10, learning_rate=0.02, device="cpu", logger="none"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "baseline"
    train_baseline(TINY, folder, report_on="test")
    return folder


def test_the_first_weights_are_a_function_of_the_seed():
    data = load_data(TINY.data)
    state = torch.random.get_rng_state()
    first, same, other = (build_resnet(config, data).stem.weight for config in (TINY, TINY, replace(TINY, seed=1)))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.slow
def test_a_run_leaves_what_a_generative_run_leaves_but_for_its_density(run):
    figures = json.loads((run / "metrics.json").read_text())
    assert figures["bits_per_dim"] is None
    assert 0.5 < figures["accuracy"] <= 1
    assert figures["accuracy_interval"][0] < figures["accuracy"] < figures["accuracy_interval"][1]
    assert all(figures[name] > 0 for name in ("macro_f1", "nll", "brier", "ece", "images_per_second", "parameters"))
    names = ("augmented", "confusion", "curves", "mistakes", "posteriors", "reliability", "risk_coverage")
    files = {path.name for path in (run / "figures").iterdir()}
    assert files == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}
    page = (run / "index.html").read_text()
    assert "A dedicated classifier of" in page
    assert "Bits per dimension" not in page
    assert "None" not in page


@pytest.mark.slow
def test_each_prediction_is_the_largest_of_probabilities_that_sum_to_one(run):
    with (run / "predictions.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head[3:] == [f"p({digit} | x)" for digit in range(10)]
    for _, _, predicted, *posterior in rows:
        p = [float(number) for number in posterior]
        assert sum(p) == pytest.approx(1, abs=1e-4)
        assert predicted == str(p.index(max(p)))


@pytest.mark.slow
def test_the_weights_that_are_loaded_give_the_figures_of_the_run(run):
    trained = load_baseline(run)
    measured = measure_baseline(trained, load_data(TINY.data).split("test")).figures()
    written = json.loads((run / "metrics.json").read_text())
    for name in ("accuracy", "macro_f1", "nll", "brier", "ece", "n"):
        assert measured[name] == pytest.approx(written[name])


@pytest.mark.slow
def test_a_finished_run_is_resumed_at_once_and_not_begun_twice(run):
    before = load_baseline(run).digest
    train_baseline(TINY, run, resume=True, report_on="test")
    assert load_baseline(run).digest == before
    with pytest.raises(InputError, match="holds a run already"):
        train_baseline(TINY, run)
    with pytest.raises(InputError, match=r"differs from what was asked in seed"):
        train_baseline(replace(TINY, seed=1), run, resume=True)


@pytest.mark.slow
def test_images_of_another_shape_are_refused(run):
    other = load_data(replace(TINY.data, image_size=(8, 12), resize="squash")).split("test")
    with pytest.raises(InputError, match=r"images have shape \(1, 8, 12\), the network takes \(1, 8, 8\)"):
        measure_baseline(load_baseline(run), other)


@pytest.mark.slow
def test_the_digits_are_learnt(tmp_path):
    config = BASELINES["digits"]
    quick = replace(config, training=replace(config.training, epochs=10, logger="none", device="cpu"))
    assert train_baseline(quick, tmp_path / "run", report_on="test")["accuracy"] > 0.96
