import math

import pytest
import torch

from pixelbayes.metrics.calibration import Calibration
from pixelbayes.metrics.classification import Classification
from pixelbayes.metrics.registry import METRICS, Metric, computed_metrics

LOG_P = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2]], dtype=torch.float64).log()
LABELS = torch.tensor([0, 2, 1, -1])  # ranks 1, 3, 2, unknown


def mean_rank(log_posterior, labels):
    return float((log_posterior >= log_posterior.gather(1, labels[:, None])).sum(dim=1).double().mean())


@pytest.fixture
def registered(monkeypatch):
    metric = Metric(key="mean_rank", title="mean rank", unit="classes", places=1, better="lower", compute=mean_rank)
    monkeypatch.setitem(METRICS, metric.key, metric)
    return metric


def test_a_new_metric_is_one_function_and_one_line(registered):
    values = computed_metrics(LOG_P, LABELS)
    assert values == {"mean_rank": 2.0}  # of the three labelled images
    assert (registered.heading, registered.cell(values)) == ("mean rank (classes)", "2.0")
    assert list(METRICS)[-1] == "mean_rank"


def test_a_metric_without_labels_is_none_and_its_cell_empty(registered):
    values = computed_metrics(LOG_P, torch.full((4,), -1))
    assert values == {"mean_rank": None}
    assert registered.cell(values) == registered.cell({}) == ""


def test_the_metrics_of_the_package_are_computed_with_their_intervals_elsewhere():
    assert computed_metrics(LOG_P, LABELS) == {}
    found = Classification.of(LOG_P.argmax(dim=1), LABELS, "abc").as_dict() | Calibration.of(LOG_P, LABELS).as_dict()
    assert [key for key in METRICS if key in found] == ["accuracy", "macro_f1", "nll", "brier", "ece"]
    assert METRICS["accuracy"].cell(found) == "0.333 [0.061, 0.792]"
    assert METRICS["macro_f1"].cell(found) == "0.222"


def test_keys_are_those_of_the_registry():
    assert all(key == metric.key for key, metric in METRICS.items())


def test_a_cell_has_the_interval_or_the_standard_deviation_beside_the_value():
    kid = METRICS["kid"]
    assert kid.cell({"kid": -0.00123, "kid_deviation": 0.01}) == "-0.0012 ± 0.0100"
    assert kid.cell({"kid": 0.1, "kid_deviation": None}) == "0.1000"
    assert kid.cell({"kid": None, "kid_deviation": None}) == ""
    assert METRICS["nll"].cell({"nll": math.inf, "nll_interval": [1.0, math.inf]}) == "inf [1.000, inf]"


def test_the_best_value_depends_on_the_metric():
    assert METRICS["accuracy"].best([0.2, 0.9]) == 0.9
    assert METRICS["fid"].best(iter([20.0, 90.0])) == 20.0


def test_values_are_comparable_if_nothing_that_they_depend_on_differs():
    run = {"bits_per_dim": 3.0, "levels": 256, "image_size": [8, 12], "channels": 3, "resize": "crop"}
    other = run | {"levels": 16, "image_size": [8, 8]}
    bits_per_dim = METRICS["bits_per_dim"]
    assert bits_per_dim.disagreements([run, dict(run)]) == []
    assert bits_per_dim.disagreements([run, other]) == ["levels", "image_size"]
    assert bits_per_dim.disagreements([run, other | {"bits_per_dim": None}]) == []  # has no value to compare
    assert bits_per_dim.disagreements([]) == METRICS["accuracy"].disagreements([run, other]) == []
