import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from networks import random_images, tiny_model

from pixelbayes.data import Split
from pixelbayes.inference.classifier import log_posterior
from pixelbayes.metrics.temperature_scaling import COLDEST, FOLDS, HOTTEST, cross_fitted, fingerprint, fit_temperature

UNIFORM = torch.full((3,), 1 / 3, dtype=torch.float64).log()
SKEWED = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).log()


def likelihoods(count=200, too_sure=40.0, seed=0):
    """log p(x | c) of three classes and labels, drawn so that the right temperature is `too_sure` under `UNIFORM`."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 3, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).flatten()
    return too_sure * logits - 5000, labels


def nll(evidence, log_prior, labels, temperature):
    return F.nll_loss(log_posterior(evidence, log_prior, temperature), labels)


def test_a_case_worked_by_hand():
    # three of four images are of the class that is ahead by log 81: sigmoid(log 81 / T) = 3/4 where log 81 / T = log 3
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


def test_the_temperature_that_made_the_labels_is_found():
    evidence, labels = likelihoods(count=20000)
    assert fit_temperature(evidence, UNIFORM, labels) == pytest.approx(40, rel=0.03)


@pytest.mark.parametrize("k", [0.1, 7.0])
def test_likelihoods_k_times_as_large_have_a_temperature_k_times_as_large(k):
    evidence, labels = likelihoods()
    once = fit_temperature(evidence, UNIFORM, labels)
    assert fit_temperature(k * evidence, UNIFORM, labels) == pytest.approx(k * once, rel=1e-6)


def test_likelihoods_that_are_always_right_or_say_nothing_take_a_bound():
    evidence, _ = likelihoods()
    assert fit_temperature(evidence, UNIFORM, evidence.argmax(dim=1)) == COLDEST
    assert fit_temperature(evidence, UNIFORM, evidence.argmin(dim=1)) == HOTTEST
    assert fit_temperature(torch.zeros(4, 3), UNIFORM, torch.tensor([0, 1, 2, 0])) == HOTTEST


def test_what_all_classes_share_does_not_matter_nor_do_images_without_a_label():
    evidence, labels = likelihoods()
    expected = fit_temperature(evidence, UNIFORM, labels)
    shifted = evidence + 1e4 * torch.arange(200, dtype=torch.float64)[:, None]
    assert fit_temperature(shifted, UNIFORM, labels) == pytest.approx(expected, rel=1e-6)
    more, unknown = torch.cat([evidence, evidence[:9]]), torch.cat([labels, torch.full((9,), -1)])
    assert fit_temperature(more, UNIFORM, unknown) == pytest.approx(expected)
    with pytest.raises(ValueError, match="no image has a label"):
        fit_temperature(evidence[:9], UNIFORM, torch.full((9,), -1))


# Cross-fitting


def test_an_images_own_label_does_not_move_its_posterior():
    evidence, labels = likelihoods(count=23)
    before = cross_fitted(evidence, SKEWED, labels)
    for image in range(5):
        changed = labels.clone()
        changed[image] = (labels[image] + 1) % 3
        after = cross_fitted(evidence, SKEWED, changed)
        assert torch.equal(before[image], after[image])
        assert not torch.equal(before, after)  # that of others does


def test_each_image_takes_one_of_as_many_temperatures_as_there_are_folds():
    evidence, labels = likelihoods(count=23)
    ahead = evidence[:, 0] - evidence[:, 1]
    found = cross_fitted(evidence, UNIFORM, labels)
    temperatures = ahead / (found[:, 0] - found[:, 1])
    counts = temperatures.mul(1e6).round().unique(return_counts=True)[1]
    assert sorted(counts.tolist()) == [4, 4, 5, 5, 5]


def test_images_without_a_label_are_tempered_too_and_too_few_labels_are_refused():
    evidence, labels = likelihoods(count=12)
    labels[FOLDS:] = -1
    found = cross_fitted(evidence, UNIFORM, labels)
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(12, dtype=torch.float64))
    labels[0] = -1
    assert cross_fitted(evidence, UNIFORM, labels) is None


def test_the_fingerprint_tells_images_and_labels_and_not_names():
    pixels = random_images(4, tiny_model().config)
    split = Split(pixels, torch.tensor([0, 1, 2, -1]), ("a", "b", "c", "d"))
    assert fingerprint(split) == fingerprint(replace(split, names=("e", "f", "g", "h")))
    others = [replace(split, labels=torch.tensor([0, 1, 2, 0])), replace(split, pixels=pixels.flip(0))]
    assert fingerprint(split) not in map(fingerprint, others)
