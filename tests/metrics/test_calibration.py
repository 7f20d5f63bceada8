import json
import math

import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from pixelbayes.metrics.calibration import BINS, Calibration
from pixelbayes.metrics.classification import wilson_interval


def random_posterior(count=400, classes=3):
    generator = torch.Generator().manual_seed(0)
    log_p = (2 * torch.randn(count, classes, generator=generator, dtype=torch.float64)).log_softmax(dim=1)
    return log_p, torch.randint(classes, (count,), generator=generator)


def test_metrics_and_bins_equal_a_case_worked_by_hand():
    log_p = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.1, 0.9], [0.5, 0.5]], dtype=torch.float64).log()
    found = Calibration.of(log_p, torch.tensor([0, 1, 1, 0]))
    assert found.nll == pytest.approx(-(math.log(0.8) + math.log(0.2) + math.log(0.9) + math.log(0.5)) / 4)
    assert found.brier == pytest.approx((0.08 + 1.28 + 0.02 + 0.5) / 4)
    assert found.ece == pytest.approx((2 * abs(0.5 - 0.8) + abs(1 - 0.9) + abs(1 - 0.5)) / 4)
    half, first, second = found.bins
    assert (half.count, half.confidence, half.accuracy) == (1, 0.5, 1)
    assert (first.low, first.high) == (11 / 15, 12 / 15)  # the upper bound is 0.8
    assert (first.count, first.accuracy) == (2, 0.5)
    assert first.confidence == pytest.approx(0.8)
    assert (second.count, second.accuracy) == (1, 1)
    assert second.confidence == pytest.approx(0.9)


def test_the_best_posterior_has_zero_in_every_metric_and_interval():
    log_p = torch.tensor([[0.0, -800.0], [-800.0, 0.0]], dtype=torch.float64)
    found = Calibration.of(log_p, torch.tensor([0, 1]))
    assert (found.nll, found.brier, found.ece) == (0, 0, 0)
    assert found.nll_interval == found.brier_interval == found.ece_interval == (0, 0)


def test_the_nll_of_a_confident_error_is_finite_where_its_probability_underflows():
    log_p = torch.tensor([[0.0, -800.0]], dtype=torch.float64)  # exp(-800) is 0 in float64
    found = Calibration.of(log_p, torch.tensor([1]))
    assert (found.nll, found.brier, found.ece) == (800, 2, 1)


def test_a_label_of_probability_zero_makes_the_nll_infinite_and_leaves_the_other_metrics_finite():
    log_p = torch.tensor([[0.0, -torch.inf], [0.0, -torch.inf]], dtype=torch.float64)
    found = Calibration.of(log_p, torch.tensor([0, 1]))
    assert found.nll == found.nll_interval[1] == math.inf
    assert (found.brier, found.brier_interval) == (1, (0, 2))


def test_the_calibration_error_equals_that_of_torchmetrics():
    log_p, labels = random_posterior()
    expected = multiclass_calibration_error(log_p.exp(), labels, num_classes=3, n_bins=BINS, norm="l1")
    assert Calibration.of(log_p, labels).ece == pytest.approx(float(expected), abs=1e-6)


def test_images_without_a_label_are_left_out():
    log_p, labels = random_posterior()
    unknown = torch.cat([labels, torch.full((5,), -1)])
    assert Calibration.of(torch.cat([log_p, log_p[:5]]), unknown) == Calibration.of(log_p, labels)
    assert Calibration.of(log_p[:5], torch.full((5,), -1)) is None


def test_bins_contain_every_image_once_and_their_gaps_add_up_to_the_calibration_error():
    log_p, labels = random_posterior()
    found = Calibration.of(log_p, labels)
    assert sum(one.count for one in found.bins) == len(labels)
    assert found.ece == pytest.approx(sum(one.count * abs(one.accuracy - one.confidence) for one in found.bins) / 400)
    for one in found.bins:
        assert one.low < one.confidence <= one.high
        assert one.accuracy_interval == wilson_interval(round(one.accuracy * one.count), one.count)


# Sampling variation


def labels_from(log_p, seed):
    """Labels drawn from the posterior, so that it is calibrated."""
    return torch.multinomial(log_p.exp(), 1, generator=torch.Generator().manual_seed(seed)).flatten()


@pytest.fixture(scope="module")
def calibrated():
    """100 test sets of 200 images whose labels are drawn from the posterior."""
    log_p, _ = random_posterior(count=200)
    return [Calibration.of(log_p, labels_from(log_p, seed)) for seed in range(100)]


def test_a_calibrated_posterior_is_rejected_five_times_in_a_hundred(calibrated):
    assert 1 <= sum(found.rejected for found in calibrated) <= 10  # 5 are expected, with a standard deviation of 2
    assert sum(found.p_value for found in calibrated) / 100 == pytest.approx(0.5, abs=0.09)


def test_the_expected_error_of_a_calibrated_posterior_is_the_mean_over_labels_drawn_from_it(calibrated):
    errors = torch.tensor([found.ece for found in calibrated])
    found = Calibration.of(*random_posterior(count=200))
    assert found.ece_if_calibrated == pytest.approx(float(errors.mean()), rel=0.06)
    assert found.ece_if_calibrated_95 == pytest.approx(float(errors.quantile(0.95)), rel=0.1)


def test_a_far_overconfident_posterior_is_rejected():
    log_p, _ = random_posterior()
    found = Calibration.of((5 * log_p).log_softmax(dim=1), labels_from(log_p, 0))
    assert found.p_value == 1 / 1001  # none of a thousand draws has such an error
    assert found.rejected


def test_the_interval_of_a_calibrated_posteriors_error_begins_at_zero_for_many_labels_drawn_from_it():
    log_p, _ = random_posterior()
    found = [Calibration.of(log_p, labels_from(log_p, seed)) for seed in range(40)]
    assert all(each.ece > 0.02 for each in found)  # so the percentile interval would never begin at zero
    assert sum(each.ece_interval[0] == 0 for each in found) > 16  # about 24


def test_for_many_images_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    log_p, labels = random_posterior(count=4000)
    found = Calibration.of(log_p, labels)
    loss = -log_p.gather(1, labels[:, None])
    half = 1.96 * float(loss.std()) / 4000**0.5
    assert found.nll_interval == pytest.approx((found.nll - half, found.nll + half), abs=0.15 * half)


def test_the_result_is_a_function_of_the_seed():
    log_p, labels = random_posterior()
    assert Calibration.of(log_p, labels) == Calibration.of(log_p, labels)
    assert Calibration.of(log_p, labels).nll_interval != Calibration.of(log_p, labels, seed=1).nll_interval


def test_as_dict_is_unchanged_by_json():
    found = Calibration.of(*random_posterior()).as_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["calibration_rejected"] is True
    assert len(found["ece_interval"]) == 2
