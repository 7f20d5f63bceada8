import csv
import json
from dataclasses import replace

import pytest
import torch

from pixelbayes.checkpoints.checkpoint import load_classifier
from pixelbayes.data import AugmentationConfig, DataConfig, load_data
from pixelbayes.evaluation.measure import measure
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
    train_baseline(TINY, folder, eval_split="test")
    return folder


def test_the_initial_weights_are_a_function_of_the_seed():
    data = load_data(TINY.data)
    state = torch.random.get_rng_state()
    first, same, other = (build_resnet(config, data).stem.weight for config in (TINY, TINY, replace(TINY, seed=1)))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.slow
def test_a_run_has_all_results_of_a_generative_run_except_those_of_the_density(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["bits_per_dim"] is None
    assert 0.5 < metrics["accuracy"] <= 1
    assert metrics["accuracy_interval"][0] < metrics["accuracy"] < metrics["accuracy_interval"][1]
    assert all(metrics[name] > 0 for name in ("macro_f1", "nll", "brier", "ece", "images_per_second", "parameters"))
    names = ("augmented", "confusion", "curves", "errors", "posteriors", "reliability", "risk_coverage")
    files = {path.name for path in (run / "figures").iterdir()}
    assert files == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}
    page = (run / "index.html").read_text()
    assert "A dedicated classifier with" in page
    assert "Bits per dimension" not in page
    assert "None" not in page


@pytest.mark.slow
def test_each_prediction_is_the_class_with_the_largest_probability(run):
    with (run / "predictions.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head[3:] == [f"p({digit} | x)" for digit in range(10)]
    for _, _, predicted, *posterior in rows:
        p = [float(number) for number in posterior]
        assert sum(p) == pytest.approx(1, abs=1e-4)
        assert predicted == str(p.index(max(p)))


@pytest.mark.slow
def test_a_loaded_classifier_has_the_metrics_of_its_run(run):
    trained = load_classifier(run)
    measured = measure(trained, load_data(TINY.data).split("test")).metrics()
    written = json.loads((run / "metrics.json").read_text())
    for name in ("accuracy", "macro_f1", "nll", "brier", "ece", "n"):
        assert measured[name] == pytest.approx(written[name])


@pytest.mark.slow
def test_resuming_a_finished_run_does_not_change_its_weights(run):
    before = load_classifier(run).digest
    train_baseline(TINY, run, resume=True, eval_split="test")
    assert load_classifier(run).digest == before
    with pytest.raises(InputError, match=r"has other values of seed"):
        train_baseline(replace(TINY, seed=1), run, resume=True)


@pytest.mark.usefixtures("without_plots")
@pytest.mark.slow
def test_ten_epochs_of_the_digits_preset_reach_an_accuracy_of_96_percent(tmp_path):
    config = BASELINES["digits"]
    quick = replace(config, training=replace(config.training, epochs=10, logger="none", device="cpu"))
    assert train_baseline(quick, tmp_path / "run", eval_split="test")["accuracy"] > 0.96
