from io import BytesIO

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

from pixelbayes.evaluation.explanation import Explanation
from pixelbayes.metrics.calibration import Calibration
from pixelbayes.metrics.selective import RiskCoverage
from pixelbayes.plots import explanations, reliability, risk_coverage, separation, to_png
from pixelbayes.plots.style import BLUE, VERMILLION

NAMES = ["burger", "giant panda", "koala"]


def rendered(figure):
    return np.array(Image.open(BytesIO(to_png(figure))).convert("RGB"))  # (height, width, 3)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def posterior(too_sure):
    """log p(c | x) of three classes, and labels drawn from it as it was before it became too sure."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(300, 3, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).flatten()
    return (too_sure * logits).log_softmax(dim=1), labels


# reliability


def test_the_reliability_diagram_has_a_point_and_an_interval_for_each_bin():
    before, after = Calibration.of(*posterior(8)), Calibration.of(*posterior(1))
    figure = reliability(before, after, 8.0)
    for axes, calibration in zip(figure.axes[:2], (before, after), strict=True):
        points = axes.lines[-1]
        assert points.get_xdata().tolist() == [one.confidence for one in calibration.bins]
        assert points.get_ydata().tolist() == [one.accuracy for one in calibration.bins]
        spans = [span.get_segments()[0][:, 1].tolist() for span in axes.collections]
        assert spans == [list(one.accuracy_interval) for one in calibration.bins]
    for axes, calibration in zip(figure.axes[2:], (before, after), strict=True):
        assert [bar.get_height() for bar in axes.patches] == [one.count for one in calibration.bins]


def test_the_reliability_diagram_says_what_chance_would_show_and_what_follows():
    before, after = Calibration.of(*posterior(8)), Calibration.of(*posterior(1))
    shown = "\n".join(texts(reliability(before, after, 8.0)))
    assert f"calibration error {before.ece:.3f}; if calibrated {before.ece_if_calibrated:.3f}" in shown
    assert "the labels contradict these probabilities (p ≤ 0.001)" in shown
    assert f"the labels do not contradict these probabilities (p = {after.p_value:.3f})" in shown
    assert "after, T = 8" in shown
    assert len(reliability(before).axes) == 2


# risk and coverage


def test_the_curve_of_risk_and_coverage_is_drawn_and_its_landmarks_named():
    curve = RiskCoverage.of(*posterior(1))
    figure = risk_coverage(curve)
    (axes,) = figure.axes
    assert any(np.array_equal(line.get_ydata(), curve.accuracy.numpy()) for line in axes.lines)
    assert f"area under the risk-coverage curve {curve.aurc:.4f}" in texts(figure)
    for share in (0.5, 0.8, 0.9, 1):
        assert f"{curve.accuracy_at(share):.3f}" in texts(figure)
    assert axes.get_ylim()[0] <= curve.accuracy.min()


@pytest.mark.parametrize("label", [0, 1])
def test_one_image_and_no_mistake_can_be_drawn_too(label):
    rendered(risk_coverage(RiskCoverage.of(torch.tensor([[0.9, 0.1]]).log(), torch.tensor([label]))))


# separation


def test_each_score_has_both_histograms_and_its_area():
    inside = {"likelihood": torch.arange(40.0), "typicality": torch.arange(40.0)}
    outside = {"likelihood": torch.arange(30.0) + 100, "typicality": torch.arange(40.0)}
    figure = separation(inside, outside, ("digits", "noise"))
    assert len(figure.axes) == 2
    shown = "\n".join(texts(figure))
    assert "likelihood: AUROC 1.000" in shown
    assert "typicality: AUROC 0.500" in shown
    assert "digits (n = 40)" in shown
    assert "noise (n = 30)" in shown
    for patch in figure.axes[0].patches:
        assert patch.get_data().values.sum() == pytest.approx(1)


# explanations


def explained(ratio, pixels=None, label=0, other=2):
    ratio = torch.as_tensor(ratio, dtype=torch.float64)
    pixels = torch.full((1, *ratio.shape), 255, dtype=torch.uint8) if pixels is None else pixels
    return Explanation(pixels, ratio, label, other, (0.75, 0.015))


def overlay(figure, number=0):
    return figure.axes[2 * number + 1].images[0].get_array()  # (H, W, 3), in 0 .. 1


def test_blue_speaks_for_the_first_class_vermillion_for_the_second_and_silence_shows_the_image():
    ratio = [[3.0, -3.0, 0.0], [1.5, 0.0, 0.0]]
    shown = overlay(explanations([explained(ratio)], 256, NAMES))
    np.testing.assert_allclose(shown[0, 0], to_rgb(BLUE), atol=0.01)
    np.testing.assert_allclose(shown[0, 1], to_rgb(VERMILLION), atol=0.01)
    np.testing.assert_allclose(shown[0, 2], (1, 1, 1), atol=0.01)
    np.testing.assert_allclose(shown[1, 0], (np.array(to_rgb(BLUE)) + 1) / 2, atol=0.02)


def test_the_image_stays_visible_under_what_is_silent():
    pixels = torch.tensor([[[0, 255, 128]]], dtype=torch.uint8)
    grey = overlay(explanations([explained([[0.0, 0.0, 0.0]], pixels)], 256, NAMES))[0, :, 0]
    assert grey[0] < grey[2] < grey[1]


def test_all_explanations_share_one_scale():
    loud, quiet = explained([[4.0] * 3] * 2), explained([[1.0] * 3] * 2)
    figure = explanations([loud, quiet], 256, NAMES)
    np.testing.assert_allclose(1 - overlay(figure, 1), (1 - overlay(figure, 0)) / 4, atol=0.01)


def test_titles_name_classes_nats_and_posterior():
    figure = explanations([explained([[1.0, 2.5]]), explained([[-1.0, -2.5]], label=1)], 256, NAMES)
    shown = texts(figure)
    assert "burger rather than koala: +3.5 nats" in shown
    assert "giant panda rather than koala: -3.5 nats" in shown
    assert "p(burger | x): 0.750, p(koala | x): 0.015" in shown


@pytest.mark.parametrize("count", [1, 3, 5])
@pytest.mark.parametrize("name", ["a name far longer than any picture is wide", "a"])
def test_nothing_is_cut_off(count, name):
    figure = explanations([explained([[1.0] * 12] * 8)] * count, 256, [name, "b", name])
    edges = rendered(figure)
    for edge in (edges[:4], edges[-4:], edges[:, :4], edges[:, -4:]):
        assert (edge == 255).all()


def test_nothing_to_explain_is_refused():
    with pytest.raises(ValueError, match="no explanation, expected one or more"):
        explanations([], 256, NAMES)
