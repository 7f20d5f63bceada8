from itertools import pairwise

import numpy as np
import pytest
import torch
from figures import texts

from pixelbayes.metrics.calibration import Calibration
from pixelbayes.metrics.classification import Classification
from pixelbayes.metrics.selective import RiskCoverage
from pixelbayes.plots import confusion_matrix, cosine_map, reliability, risk_coverage, separation, to_png


def classification(num_classes=3, n=60):
    generator = torch.Generator().manual_seed(0)
    labels, guesses = torch.randint(0, num_classes, (2, n), generator=generator)
    predicted = torch.where(torch.rand(n, generator=generator) < 0.7, labels, guesses)
    return Classification.of(predicted, labels, [f"class {c}" for c in range(num_classes)])


def overconfident(factor):
    """log p(c | x) of three classes with too large logits, and labels drawn from the calibrated posterior."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(300, 3, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).flatten()
    return (factor * logits).log_softmax(dim=1), labels


# Confusion matrix


def test_the_matrix_shows_each_count_with_true_classes_in_rows():
    result = Classification.of(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 0, 1]), ["cat", "dog"])
    axes = confusion_matrix(result).axes[0]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "1", (1, 0): "2", (0, 1): "0", (1, 1): "1",
    }  # fmt: skip
    np.testing.assert_allclose(axes.images[0].get_array(), [[1 / 3, 2 / 3], [0, 1]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


@pytest.mark.parametrize("num_classes", [2, 10, 20, 21, 100])
def test_the_matrix_is_readable_from_2_to_100_classes(num_classes):
    figure = confusion_matrix(classification(num_classes, n=9 * num_classes))
    axes = figure.axes[0]
    assert len(axes.texts) == (num_classes**2 if num_classes <= 20 else 0)
    assert max(figure.get_size_inches()) < 13
    names = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(upper.y0 >= lower.y0 + 0.8 * lower.height for upper, lower in pairwise(names))


def test_a_class_without_images_has_an_empty_row():
    result = Classification.of(torch.tensor([0, 1]), torch.tensor([0, 0]), ["cat", "dog", "owl"])
    assert confusion_matrix(result).axes[0].images[0].get_array()[1].sum() == 0


def test_the_number_of_class_names_must_fit():
    with pytest.raises(ValueError, match="2 class names for 3 classes"):
        confusion_matrix(classification(3), ["cat", "dog"])


# Calibration


def test_the_reliability_diagram_has_a_point_and_an_interval_for_each_bin():
    before, after = Calibration.of(*overconfident(8)), Calibration.of(*overconfident(1))
    figure = reliability(before, after, 8.0)
    for axes, calibration in zip(figure.axes[:2], (before, after), strict=True):
        points = axes.lines[-1]
        assert points.get_xdata().tolist() == [one.confidence for one in calibration.bins]
        assert points.get_ydata().tolist() == [one.accuracy for one in calibration.bins]
        spans = [span.get_segments()[0][:, 1].tolist() for span in axes.collections]
        assert spans == [list(one.accuracy_interval) for one in calibration.bins]
    for axes, calibration in zip(figure.axes[2:], (before, after), strict=True):
        assert [bar.get_height() for bar in axes.patches] == [one.count for one in calibration.bins]
    words = "\n".join(texts(figure))
    assert f"ECE {before.ece:.3f}; if calibrated {before.ece_if_calibrated:.3f}" in words
    assert "calibration is rejected (p ≤ 0.001)" in words
    assert f"calibration is not rejected (p = {after.p_value:.3f})" in words
    assert "after, T = 8" in words
    assert len(reliability(before).axes) == 2


# Selective classification


def test_the_risk_coverage_curve_has_its_area_and_the_accuracy_at_each_coverage():
    curve = RiskCoverage.of(*overconfident(1))
    figure = risk_coverage(curve)
    (axes,) = figure.axes
    assert any(np.array_equal(line.get_ydata(), curve.accuracy.numpy()) for line in axes.lines)
    assert f"area under the risk-coverage curve {curve.aurc:.4f}" in texts(figure)
    for share in (0.5, 0.8, 0.9, 1):
        assert f"{curve.accuracy_at(share):.3f}" in texts(figure)
    assert axes.get_ylim()[0] <= curve.accuracy.min()


@pytest.mark.parametrize("label", [0, 1])
def test_the_risk_coverage_curve_of_a_single_image_can_be_drawn(label):
    to_png(risk_coverage(RiskCoverage.of(torch.tensor([[0.9, 0.1]]).log(), torch.tensor([label]))))


# Out-of-distribution detection


def test_each_score_has_two_histograms_and_its_auroc():
    digits = {"likelihood": torch.arange(40.0), "typicality": torch.arange(40.0)}
    noise = {"likelihood": torch.arange(30.0) + 100, "typicality": torch.arange(40.0)}
    figure = separation(digits, noise, ("digits", "noise"))
    assert len(figure.axes) == 2
    words = "\n".join(texts(figure))
    assert "likelihood: AUROC 1.000" in words
    assert "typicality: AUROC 0.500" in words
    assert "digits (n = 40)" in words
    assert "noise (n = 30)" in words
    for patch in figure.axes[0].patches:
        assert patch.get_data().values.sum() == pytest.approx(1)


# Class embeddings


def test_the_cosine_map_shows_the_cosine_of_every_two_classes():
    vectors = torch.tensor([[1.0, 0.0], [2.0, 2.0], [0.0, -3.0]])
    figure = cosine_map(vectors, ["a", "b", "c"])
    expected = [[1, 0.5**0.5, 0], [0.5**0.5, 1, -(0.5**0.5)], [0, -(0.5**0.5), 1]]
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), expected, atol=1e-7)
    assert {"0.71", "-0.71", "cosine similarity"} <= set(texts(figure))
    to_png(figure)
