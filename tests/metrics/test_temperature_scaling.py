import math

import pytest
import torch
import torch.nn.functional as F

from pixelbayes.inference.classifier import log_posterior
from pixelbayes.metrics.temperature_scaling import (
    FOLDS,
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    cross_fitted,
    fit_temperature,
)

UNIFORM = torch.full((3,), 1 / 3, dtype=torch.float64).log()
SKEWED = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).log()


def likelihoods(count=200, temperature=40.0, seed=0):
    """log p(x | c) of three classes, and labels drawn from the posterior at `temperature` under `UNIFORM`."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 3, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).flatten()
    return temperature * logits - 5000, labels


def nll(evidence, log_prior, labels, temperature):
    return F.nll_loss(log_posterior(evidence, log_prior, temperature), labels)


def test_the_temperature_equals_a_case_worked_by_hand():
    # three of four images have the label whose log-likelihood is higher by log 81: sigmoid(log 81 / T) = 3/4 at T = 4
    evidence = torch.tensor([[math.log(81), 0.0]] * 4, dtype=torch.float64)
    assert fit_temperature(evidence, torch.zeros(2), torch.tensor([0, 0, 1, 0])) == pytest.approx(4)


@pytest.mark.parametrize("log_prior", [UNIFORM, SKEWED])
def test_at_the_optimum_the_slope_of_the_nll_is_zero_and_no_other_temperature_is_better(log_prior):
    evidence, labels = likelihoods()
    temperature = torch.tensor(fit_temperature(evidence, log_prior, labels), dtype=torch.float64, requires_grad=True)
    best = nll(evidence, log_prior, labels, temperature)
    (slope,) = torch.autograd.grad(best, temperature)
    assert abs((slope * temperature).item()) < 1e-9
    for factor in (0.1, 0.5, 0.99, 1.01, 2, 10):
        assert nll(evidence, log_prior, labels, factor * temperature.detach()) > best


def test_the_temperature_that_the_labels_were_drawn_at_is_found():
    evidence, labels = likelihoods(count=20000)
    assert fit_temperature(evidence, UNIFORM, labels) == pytest.approx(40, rel=0.03)


@pytest.mark.parametrize("k", [0.1, 7.0])
def test_log_likelihoods_scaled_by_k_have_a_temperature_scaled_by_k(k):
    evidence, labels = likelihoods()
    once = fit_temperature(evidence, UNIFORM, labels)
    assert fit_temperature(k * evidence, UNIFORM, labels) == pytest.approx(k * once, rel=1e-6)


def test_likelihoods_that_are_always_right_or_uninformative_have_a_temperature_at_a_bound():
    evidence, _ = likelihoods()
    assert fit_temperature(evidence, UNIFORM, evidence.argmax(dim=1)) == MIN_TEMPERATURE
    assert fit_temperature(evidence, UNIFORM, evidence.argmin(dim=1)) == MAX_TEMPERATURE
    assert fit_temperature(torch.zeros(4, 3), UNIFORM, torch.tensor([0, 1, 2, 0])) == MAX_TEMPERATURE


def test_terms_common_to_all_classes_and_images_without_a_label_do_not_matter():
    evidence, labels = likelihoods()
    expected = fit_temperature(evidence, UNIFORM, labels)
    shifted = evidence + 1e4 * torch.arange(200, dtype=torch.float64)[:, None]
    assert fit_temperature(shifted, UNIFORM, labels) == pytest.approx(expected, rel=1e-6)
    more, unknown = torch.cat([evidence, evidence[:9]]), torch.cat([labels, torch.full((9,), -1)])
    assert fit_temperature(more, UNIFORM, unknown) == pytest.approx(expected)
    with pytest.raises(ValueError, match="no image has a label"):
        fit_temperature(evidence[:9], UNIFORM, torch.full((9,), -1))


# Cross-fitting


def test_the_label_of_an_image_does_not_change_its_own_posterior():
    evidence, labels = likelihoods(count=23)
    before = cross_fitted(evidence, SKEWED, labels)
    for image in range(5):
        changed = labels.clone()
        changed[image] = (labels[image] + 1) % 3
        after = cross_fitted(evidence, SKEWED, changed)
        assert torch.equal(before[image], after[image])
        assert not torch.equal(before, after)  # but that of other images


def test_there_is_one_temperature_for_each_fold():
    evidence, labels = likelihoods(count=23)
    difference = evidence[:, 0] - evidence[:, 1]
    found = cross_fitted(evidence, UNIFORM, labels)
    temperatures = difference / (found[:, 0] - found[:, 1])
    counts = temperatures.mul(1e6).round().unique(return_counts=True)[1]
    assert sorted(counts.tolist()) == [4, 4, 5, 5, 5]


def test_images_without_a_label_have_a_posterior_too_and_too_few_labels_give_none():
    evidence, labels = likelihoods(count=12)
    labels[FOLDS:] = -1
    found = cross_fitted(evidence, UNIFORM, labels)
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(12, dtype=torch.float64))
    labels[0] = -1
    assert cross_fitted(evidence, UNIFORM, labels) is None
