import json

import pytest
import torch

from pixelbayes.metrics.selective import RiskCoverage, log_uncertainty, most_confident_errors


def posterior(*confidences):
    """Two classes, the first with the given probability."""
    p = torch.tensor(confidences, dtype=torch.float64)
    return torch.stack([p, 1 - p], dim=1).log()


def test_the_curve_equals_a_case_worked_by_hand():
    # in order of confidence: correct, wrong, correct, wrong
    curve = RiskCoverage.of(posterior(0.6, 0.9, 0.8, 0.7), torch.tensor([1, 0, 1, 0]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert curve.accuracy.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert curve.aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert [curve.accuracy_at(share) for share in (0.1, 0.25, 0.26, 0.8, 1)] == pytest.approx([1, 1, 0.5, 0.5, 0.5])


def test_images_of_equal_confidence_count_as_the_mean_over_their_orders():
    log_p = posterior(0.9, 0.9, 0.9, 0.6)
    for labels in ([0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 0, 1]):  # two of the first three are correct, in any order
        curve = RiskCoverage.of(log_p, torch.tensor(labels))
        assert curve.accuracy.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 1 / 2])


def test_log_uncertainty_orders_images_where_confidence_rounds_to_one():
    log_p = torch.tensor([[0.0, -50, -700], [0.0, -40, -40], [0.0, -800, -60]], dtype=torch.float64)
    assert log_p.exp().amax(dim=1).unique().tolist() == [1]
    assert log_uncertainty(log_p).argsort().tolist() == [2, 0, 1]
    torch.testing.assert_close(
        log_uncertainty(posterior(0.9, 0.6)).exp(), torch.tensor([0.1, 0.4], dtype=torch.float64)
    )


def test_the_order_with_all_errors_last_is_the_best_and_its_reverse_the_worst():
    confidence = torch.linspace(0.6, 0.99, 10).tolist()
    best, worst = (
        RiskCoverage.of(posterior(*confidence), torch.tensor(labels))
        for labels in ([1] * 3 + [0] * 7, [0] * 7 + [1] * 3)
    )
    assert best.accuracy_at(0.7) == 1
    assert worst.accuracy_at(0.3) == 0
    assert best.accuracy_at(1) == worst.accuracy_at(1) == pytest.approx(0.7)
    assert best.aurc < worst.aurc


def test_images_without_a_label_are_left_out():
    log_p, labels = posterior(0.6, 0.9, 0.8), torch.tensor([1, -1, 0])
    assert torch.equal(RiskCoverage.of(log_p, labels).accuracy, RiskCoverage.of(log_p[[0, 2]], labels[[0, 2]]).accuracy)
    assert RiskCoverage.of(log_p, torch.full((3,), -1)) is None


def test_a_coverage_is_rounded_up_to_whole_images_and_lies_in_0_to_1():
    labels = (torch.arange(100) == 7).long()  # the eighth in order of confidence is wrong
    curve = RiskCoverage.of(posterior(*torch.linspace(0.99, 0.6, 100).tolist()), labels)
    assert curve.accuracy_at(0.07) == 1  # 7 images, although 0.07 * 100 is 7.000000000000001
    assert curve.accuracy_at(0.08) == 7 / 8
    for coverage in (0, 1.1):
        with pytest.raises(ValueError, match=f"coverage is {coverage}, expected a number above 0"):
            curve.accuracy_at(coverage)


def test_as_dict_is_unchanged_by_json():
    found = RiskCoverage.of(posterior(0.6, 0.9), torch.tensor([0, 1])).as_dict()
    assert json.loads(json.dumps(found)) == found
    assert list(found["accuracy_at"]) == ["50%", "80%", "90%"]


def test_errors_are_ordered_by_confidence_and_unknown_labels_are_no_errors():
    log_p = posterior(0.6, 0.9, 0.8, 0.99, 0.95)
    labels = torch.tensor([1, 1, 1, 0, -1])
    assert most_confident_errors(log_p, labels) == [1, 2, 0]
    assert most_confident_errors(log_p, labels, count=2) == [1, 2]
    assert most_confident_errors(log_p, torch.zeros(5, dtype=torch.int64)) == []
