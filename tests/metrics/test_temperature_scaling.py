import math

import pytest
import torch
import torch.nn.functional as F

from pixelbayes.inference.classifier import log_posterior
from pixelbayes.metrics.temperature_scaling import FOLDS, cross_fitted, fit_temperature

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


def test_a_few_images_are_worked_by_hand():
    # all four likelihoods are two to one in favour of the label; with p = sigmoid(log 2 / T) the loss is
    # -4 log p - (log p + log(1 - p)) / 2 + (log T)^2 / (2 log(100)^2), here minimised on a fine grid
    evidence = torch.tensor([[math.log(2), 0.0]] * 4, dtype=torch.float64)
    log_temperature = torch.linspace(-5, 5, 200001, dtype=torch.float64)
    p = (math.log(2) / log_temperature.exp()).sigmoid()
    loss = -4.5 * p.log() - 0.5 * (1 - p).log() + log_temperature**2 / (2 * math.log(100) ** 2)
    expected = float(log_temperature[loss.argmin()].exp())
    assert fit_temperature(evidence, torch.zeros(2), torch.tensor([0] * 4)).value == pytest.approx(expected, rel=1e-3)
    assert float(p[loss.argmin()]) == pytest.approx(4.5 / 5, abs=0.01)  # which without the prior of T would be exact


@pytest.mark.parametrize("log_prior", [UNIFORM, SKEWED])
def test_of_many_images_no_other_temperature_has_a_smaller_nll(log_prior):
    evidence, labels = likelihoods(count=5000)
    temperature = fit_temperature(evidence, log_prior, labels).value
    best = nll(evidence, log_prior, labels, temperature)
    for factor in (0.1, 0.5, 0.95, 1.05, 2, 10):
        assert nll(evidence, log_prior, labels, factor * temperature) > best


@pytest.mark.parametrize("temperature", [0.3, 1.0, 40.0, 3000.0])
def test_the_interval_holds_the_temperature_that_the_labels_were_drawn_at(temperature):
    fits = [fit_temperature(*_insert(likelihoods(60, temperature, seed), UNIFORM)) for seed in range(100)]
    assert sum(low <= temperature <= high for _, low, high in fits) >= 88  # of 100; 95 are expected
    assert all(low < value < high for value, low, high in fits)
    widths = [_width(fit_temperature(*_insert(likelihoods(n, temperature), UNIFORM))) for n in (15, 150, 1500)]
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def _insert(drawn, log_prior):
    evidence, labels = drawn
    return evidence, log_prior, labels


def _width(fit):
    return math.log(fit.high / fit.low)


def test_neither_correct_nor_uninformative_likelihoods_drive_the_temperature_to_a_bound():
    evidence, _ = likelihoods(count=15)
    right = fit_temperature(evidence, UNIFORM, evidence.argmax(dim=1)).value
    posterior = log_posterior(evidence, UNIFORM, right).exp().max(dim=1).values
    assert 0.8 < posterior.mean() < (15 + 1 / 3) / 16 + 0.01  # fifteen of fifteen
    wrong = fit_temperature(evidence, UNIFORM, evidence.argmin(dim=1)).value
    assert 40 < wrong < 1e5
    assert fit_temperature(torch.zeros(4, 3), UNIFORM, torch.tensor([0, 1, 2, 0])).value == pytest.approx(1, rel=1e-4)


def separated(count, temperature, prior, spread, generator):
    """log p(x | c) of three Gaussian classes, times `temperature`, and labels from the prior."""
    labels = torch.multinomial(prior, count, replacement=True, generator=generator)
    means = spread * torch.eye(3, dtype=torch.float64)
    x = means[labels] + torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return temperature * -((x[:, None] - means) ** 2).sum(dim=2) / 2, labels


@pytest.mark.parametrize("log_prior", [UNIFORM, SKEWED])
@pytest.mark.parametrize("spread", [1.0, 2.5, 5.0])  # from overlapping to separated
@pytest.mark.parametrize("temperature", [0.3, 1.0, 20.0, 300.0])
def test_a_temperature_of_few_images_is_never_much_worse_for_fresh_images_than_none(temperature, spread, log_prior):
    generator = torch.Generator().manual_seed(0)
    prior = log_prior.exp()
    fresh, labels = separated(3000, temperature, prior, spread, generator)
    unscaled = nll(fresh, log_prior, labels, 1.0)
    for count, allowed in ((5, 0.2), (15, 0.1), (60, 0.05)):
        worse = []
        for _ in range(12):
            fitted = fit_temperature(*_insert(separated(count, temperature, prior, spread, generator), log_prior))
            worse.append(float(nll(fresh, log_prior, labels, fitted.value) - unscaled))
        assert sum(worse) / len(worse) < allowed, count
        assert max(worse) < 5 * allowed, count


def test_terms_common_to_all_classes_and_images_without_a_label_do_not_matter():
    evidence, labels = likelihoods()
    expected = fit_temperature(evidence, UNIFORM, labels).value
    shifted = evidence + 1e4 * torch.arange(200, dtype=torch.float64)[:, None]
    assert fit_temperature(shifted, UNIFORM, labels).value == pytest.approx(expected, rel=1e-5)
    more, unknown = torch.cat([evidence, evidence[:9]]), torch.cat([labels, torch.full((9,), -1)])
    assert fit_temperature(more, UNIFORM, unknown).value == pytest.approx(expected)
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
