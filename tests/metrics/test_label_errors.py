import math

import pytest
import torch
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

from pixelbayes.inference.classifier import log_posterior
from pixelbayes.metrics.label_errors import LabelNoise, fit_label_noise, label_margin
from pixelbayes.metrics.temperature_scaling import fit_temperature


def noisy(num_classes, rate, *, separation, temperature=5.0, count=2000):
    """Log-likelihoods of Gaussian classes, `temperature` times too large; labels, and which of them are wrong."""
    generator = torch.Generator().manual_seed(num_classes)
    true = torch.randint(num_classes, (count,), generator=generator)
    z = torch.randn(count, num_classes, generator=generator, dtype=torch.float64)
    z[torch.arange(count), true] += separation
    wrong = torch.rand(count, generator=generator) < rate
    turned = (true + torch.randint(1, num_classes, (count,), generator=generator)) % num_classes
    return temperature * separation * z, torch.zeros(num_classes), torch.where(wrong, turned, true), wrong


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("num_classes", [2, 4, 10])
def test_the_temperature_and_the_rate_of_label_errors_are_recovered(num_classes, rate):
    evidence, log_prior, labels, wrong = noisy(num_classes, rate, separation=2.4, count=20_000)
    noise = fit_label_noise(evidence, log_prior, labels)
    assert math.isclose(noise.temperature, 5, rel_tol=0.15)
    assert abs(noise.rate - float(wrong.double().mean())) < 0.015


@pytest.mark.parametrize("num_classes", [2, 4, 10])
def test_label_errors_are_found_about_as_well_as_by_cleanlab_or_better(num_classes):
    evidence, log_prior, labels, wrong = noisy(num_classes, 0.05, separation=2.6)

    def f1(found):
        return 2 * int((found & wrong).sum()) / int(found.sum() + wrong.sum())

    noise = fit_label_noise(evidence, log_prior, labels)
    ours = f1(noise.p_wrong(log_posterior(evidence, log_prior, noise.temperature), labels) > 0.5)
    calibrated = log_posterior(evidence, log_prior, fit_temperature(evidence, log_prior, labels).value).exp()
    theirs = f1(torch.from_numpy(find_label_issues(labels.numpy(), calibrated.numpy(), n_jobs=1)))
    assert ours > 0.97 * theirs > 0.4


def test_the_probability_of_a_wrong_label_follows_from_bayes_rule():
    log_q = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64).log()
    noise = LabelNoise(temperature=1.0, rate=0.1)
    # p(class 1, label 1 | x) = 0.9 * 0.2; p(class 0 or 2, label 1 | x) = 0.05 * 0.8
    found = noise.p_wrong(log_q, torch.tensor([1]))
    torch.testing.assert_close(found, torch.tensor([0.04 / 0.22], dtype=torch.float64))
    total = sum(noise.log_label(log_q, torch.tensor([label])).exp() for label in range(3))
    torch.testing.assert_close(total, torch.ones(1, dtype=torch.float64))


def test_a_few_images_that_are_all_classified_correctly_have_no_wrong_label():
    evidence = 50 * torch.eye(3, dtype=torch.float64).repeat(4, 1)
    labels = torch.arange(12) % 3
    noise = fit_label_noise(evidence, torch.zeros(3), labels)
    assert noise.p_wrong(log_posterior(evidence, torch.zeros(3), noise.temperature), labels).max() < 1e-3


def test_the_margin_of_a_posterior_is_the_normalised_margin_of_cleanlab():
    evidence, log_prior, labels, _ = noisy(4, 0.05, separation=2.0)
    posterior = log_posterior(evidence, log_prior).exp()
    expected = get_label_quality_scores(labels.numpy(), posterior.numpy(), method="normalized_margin")
    torch.testing.assert_close((label_margin(posterior, labels) + 1) / 2, torch.from_numpy(expected))
