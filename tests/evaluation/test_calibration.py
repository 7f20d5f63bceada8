import math

import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from pixelbayes.evaluation.calibration import BINS, Calibration


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
    assert Calibration.of(log_p, torch.tensor([0, 1])) == Calibration(nll=0, brier=0, ece=0)


def test_a_posterior_that_is_sure_and_wrong_loses_a_finite_number_of_nats():
    log_p = torch.tensor([[0.0, -800.0]], dtype=torch.float64)  # exp(-800) is 0 in float64
    assert Calibration.of(log_p, torch.tensor([1])) == Calibration(nll=800, brier=2, ece=1)


def test_the_calibration_error_is_that_of_torchmetrics():
    log_p, labels = random_posterior()
    expected = multiclass_calibration_error(log_p.exp(), labels, num_classes=3, n_bins=BINS, norm="l1")
    assert Calibration.of(log_p, labels).ece == pytest.approx(float(expected), abs=1e-6)


def test_images_without_a_label_are_left_out():
    log_p, labels = random_posterior()
    unknown = torch.cat([labels, torch.full((5,), -1)])
    assert Calibration.of(torch.cat([log_p, log_p[:5]]), unknown) == Calibration.of(log_p, labels)
    assert Calibration.of(log_p[:5], torch.full((5,), -1)) is None
