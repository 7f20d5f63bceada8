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


def test_a_case_worked_by_hand():
    log_p = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.1, 0.9], [0.5, 0.5]], dtype=torch.float64).log()
    found = Calibration.of(log_p, torch.tensor([0, 1, 1, 0]))
    assert found.nll == pytest.approx(-(math.log(0.8) + math.log(0.2) + math.log(0.9) + math.log(0.5)) / 4)
    assert found.brier == pytest.approx((0.08 + 1.28 + 0.02 + 0.5) / 4)
    assert found.ece == pytest.approx((2 * abs(0.5 - 0.8) + abs(1 - 0.9) + abs(1 - 0.5)) / 4)


def test_a_posterior_that_is_sure_and_right_loses_nothing():
    log_p = torch.tensor([[0.0, -800.0], [-800.0, 0.0]], dtype=torch.float64)
    found = Calibration.of(log_p, torch.tensor([0, 1]))
    assert (found.nll, found.brier, found.ece) == (0, 0, 0)
    assert found.nll_interval == found.brier_interval == found.ece_interval == (0, 0)


def test_a_posterior_that_is_sure_and_wrong_loses_a_finite_number_of_nats():
    log_p = torch.tensor([[0.0, -800.0]], dtype=torch.float64)  # exp(-800) is 0 in float64
    found = Calibration.of(log_p, torch.tensor([1]))
    assert (found.nll, found.brier, found.ece) == (800, 2, 1)


def test_the_calibration_error_is_that_of_torchmetrics():
    log_p, labels = random_posterior()
    expected = multiclass_calibration_error(log_p.exp(), labels, num_classes=3, n_bins=BINS, norm="l1")
    assert Calibration.of(log_p, labels).ece == pytest.approx(float(expected), abs=1e-6)


def test_images_without_a_label_are_left_out():
    log_p, labels = random_posterior()
    unknown = torch.cat([labels, torch.full((5,), -1)])
    assert Calibration.of(torch.cat([log_p, log_p[:5]]), unknown) == Calibration.of(log_p, labels)
    assert Calibration.of(log_p[:5], torch.full((5,), -1)) is None


def test_a_class_held_impossible_costs_infinitely_many_nats_and_nothing_else_is_lost():
    log_p = torch.tensor([[0.0, -torch.inf], [0.0, -torch.inf]], dtype=torch.float64)
    found = Calibration.of(log_p, torch.tensor([0, 1]))
    assert found.nll == found.nll_interval[1] == math.inf
    assert (found.brier, found.brier_interval) == (1, (0, 2))


# Reliability


def test_bins_hold_every_image_once_and_their_gaps_add_up_to_the_calibration_error():
    log_p, labels = random_posterior()
    found = Calibration.of(log_p, labels)
    assert sum(one.count for one in found.bins) == len(labels)
    assert found.ece == pytest.approx(sum(one.count * abs(one.accuracy - one.confidence) for one in found.bins) / 400)
    for one in found.bins:
        assert one.low < one.confidence <= one.high
        assert one.accuracy_interval == wilson_interval(round(one.accuracy * one.count), one.count)


def test_a_bin_worked_by_hand():
    log_p = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.1, 0.9]], dtype=torch.float64).log()
    first, second = Calibration.of(log_p, torch.tensor([0, 1, 1])).bins
    assert (first.low, first.high) == (11 / 15, 12 / 15)  # whose upper bound 0.8 is
    assert (first.count, first.accuracy) == (2, 0.5)
    assert first.confidence == pytest.approx(0.8)
    assert (second.count, second.accuracy) == (1, 1)
    assert second.confidence == pytest.approx(0.9)


# What chance does


def drawn_from(log_p, seed):
    """Labels that are what the posterior says they are."""
    return torch.multinomial(log_p.exp(), 1, generator=torch.Generator().manual_seed(seed)).flatten()


def test_labels_drawn_from_the_posterior_itself_are_rejected_five_times_in_a_hundred():
    log_p, _ = random_posterior(count=200)
    p_values = [Calibration.of(log_p, drawn_from(log_p, seed)).p_value for seed in range(200)]
    assert 2 <= sum(p < 0.05 for p in p_values) <= 20  # 10 are expected, with a deviation of 3
    assert sum(p_values) / 200 == pytest.approx(0.5, abs=0.07)


def test_the_error_of_a_calibrated_classifier_is_the_mean_over_labels_drawn_from_the_posterior():
    log_p, labels = random_posterior(count=200)
    errors = torch.tensor([Calibration.of(log_p, drawn_from(log_p, seed)).ece for seed in range(200)])
    found = Calibration.of(log_p, labels)
    assert found.ece_if_calibrated == pytest.approx(float(errors.mean()), rel=0.06)
    assert found.ece_if_calibrated_95 == pytest.approx(float(errors.quantile(0.95)), rel=0.1)


def test_a_posterior_too_sure_by_far_is_rejected():
    log_p, _ = random_posterior()
    found = Calibration.of((5 * log_p).log_softmax(dim=1), drawn_from(log_p, 0))
    assert found.p_value == 1 / 1001  # none of a thousand draws
    assert found.rejected


def test_the_interval_of_a_calibrated_classifiers_error_begins_at_zero():
    log_p, _ = random_posterior()
    found = Calibration.of(log_p, drawn_from(log_p, 0))
    assert found.ece > 0.02
    assert found.ece_interval[0] == 0


def test_the_intervals_of_means_are_those_of_the_normal_distribution_where_images_are_many():
    log_p, labels = random_posterior(count=4000)
    found = Calibration.of(log_p, labels)
    loss = -log_p.gather(1, labels[:, None])
    half = 1.96 * float(loss.std()) / 4000**0.5
    assert found.nll_interval == pytest.approx((found.nll - half, found.nll + half), abs=0.15 * half)


def test_the_same_seed_gives_the_same_figures_and_another_seed_others():
    log_p, labels = random_posterior()
    assert Calibration.of(log_p, labels) == Calibration.of(log_p, labels)
    assert Calibration.of(log_p, labels).nll_interval != Calibration.of(log_p, labels, seed=1).nll_interval


def test_it_goes_through_json_as_it_is():
    found = Calibration.of(*random_posterior()).as_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["calibration_rejected"] is True
    assert len(found["ece_interval"]) == 2
