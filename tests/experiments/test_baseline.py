import csv
import json
import sys
from dataclasses import replace

import fake_timm
import pytest
import torch
from runs import CLASSES, QUICK

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.checkpoint import load_classifier
from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.data import AugmentationConfig, DataConfig, load_data
from pixelbayes.evaluation.measure import measure
from pixelbayes.experiments.baseline import (
    BASELINES,
    BaselineConfig,
    ClassifierArchitecture,
    build_classifier,
    classifier_module,
    train_baseline,
)
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.training import ClassifierTrainingConfig
from pixelbayes.utils.errors import InputError

TINY = BaselineConfig(
    data=DataConfig(source="digits"),
    augmentation=AugmentationConfig(crop=1),
    model=ClassifierArchitecture(widths=(8, 16), blocks=(1, 1)),
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
    first, same, other = (build_classifier(config, data).stem.weight for config in (TINY, TINY, replace(TINY, seed=1)))
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


@pytest.fixture
def fine_tuned(tmp_path, pictures):
    """The config of a network of the stand-in for timm that starts from a file."""
    torch.manual_seed(0)
    torch.save(fake_timm.Network({}, 5, stride=1).state_dict(), tmp_path / "weights.pth")
    model = ClassifierArchitecture(network="timm:tiny", weights=str(tmp_path / "weights.pth"))
    training = replace(QUICK.training, epochs=2, precision="float32", checkpoint_minutes=0)
    return BaselineConfig(data=DataConfig(source=str(pictures)), model=model, training=training)


@pytest.mark.usefixtures("timm", "without_plots")
@pytest.mark.slow
def test_a_pre_trained_network_is_fine_tuned_saved_and_loaded_without_its_first_weights(fine_tuned, tmp_path):
    run = tmp_path / "run"
    metrics = train_baseline(fine_tuned, run)
    (tmp_path / "weights.pth").unlink()
    trained = load_classifier(run)
    data = load_data(fine_tuned.data)
    assert measure(trained, data.split("validation")).metrics()["nll"] == pytest.approx(metrics["nll"])
    assert trained.description == "A dedicated classifier with 135 parameters, tiny of timm, pre-trained (weights.pth)"
    assert trained.description in (run / "index.html").read_text()
    checkpoint.save(trained, tmp_path / "copy.safetensors")
    assert load_classifier(tmp_path / "copy.safetensors").digest == trained.digest
    assert train_baseline(fine_tuned, run, resume=True)["nll"] == pytest.approx(metrics["nll"])


@pytest.mark.usefixtures("timm")
def test_a_run_that_cannot_start_from_its_weights_leaves_no_folder(fine_tuned, tmp_path):
    (tmp_path / "weights.pth").unlink()
    with pytest.raises(InputError, match=r"weights\.pth: no such file"):
        train_baseline(fine_tuned, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_weights_of_a_pre_trained_network_name_the_package_they_need(fine_tuned, timm, tmp_path, monkeypatch):
    network = build_classifier(fine_tuned, load_data(fine_tuned.data))
    shape = network.config.image_shape
    trained = TrainedClassifier(
        network=network, class_names=CLASSES, preprocessing=Preprocessing(image_shape=shape), prior=(1 / 3,) * 3
    )
    checkpoint.save(trained, tmp_path / "best.safetensors")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"best.safetensors: timm:tiny needs the timm package: pip install"):
        load_classifier(tmp_path / "best.safetensors")


@pytest.mark.usefixtures("timm")
def test_pre_trained_layers_have_a_learning_rate_of_their_own(fine_tuned):
    training = replace(fine_tuned.training, learning_rate=0.5, pretrained_learning_rate=0.25)
    module = classifier_module(replace(fine_tuned, training=training), load_data(fine_tuned.data))
    groups = module.configure_optimizers()["optimizer"].param_groups
    rates = {id(weight): group["initial_lr"] for group in groups for weight in group["params"]}
    body = module.network.body
    assert list(rates) == [id(weight) for weight in body.parameters()]  # in this order, a resumed run finds its state
    assert {name: rates[id(weight)] for name, weight in body.named_parameters()} == {
        **{f"{layer}.{kind}": 0.25 for layer in ("conv", "norm") for kind in ("weight", "bias")},
        **{"fc.weight": 0.5, "fc.bias": 0.5},
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "resnet18"}, "model is 'resnet18', expected resnet, or timm:NAME"),
        ({"network": "timm:"}, "model is 'timm:', expected resnet, or timm:NAME"),
        ({"weights": "w.pth"}, "weights is w.pth, but resnet is trained from scratch; add --model timm:NAME"),
        (
            {"network": "timm:tiny", "widths": (1, 2, 3)},
            "widths and blocks are those of resnet, but model is timm:tiny",
        ),
    ],
)
def test_fields_of_the_other_kind_of_network_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ClassifierArchitecture(**options)


def test_muon_is_not_for_pre_trained_networks():
    with pytest.raises(InputError, match="optimizer is muon, expected adam or adamw for a pre-trained network"):
        BaselineConfig(
            model=ClassifierArchitecture(network="timm:tiny"), training=ClassifierTrainingConfig(optimizer="muon")
        )
