import math

import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.images.pixels import to_x
from pixelbayes.inference import BayesClassifier, score
from pixelbayes.models.fusion import NO_LABEL


class Gaussians:
    """Images of independent N(mu_c, 1) values. By Bayes' rule the posterior is a logistic regression."""

    means = torch.tensor([-0.5, 0.75], dtype=torch.float64)

    def log_prob(self, x, label):
        deviation = x.flatten(1) - self.means[label][:, None]
        return (-deviation.square() / 2 - math.log(2 * math.pi) / 2).sum(dim=1)


LOG_PRIOR = torch.tensor([0.8, 0.2], dtype=torch.float64).log()


def images(batch=5):
    return torch.randn(batch, 1, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_posterior_of_two_gaussians_is_the_logistic_function_of_the_sum():
    x = images()
    a, b = Gaussians.means
    # log p(1 | x) / p(0 | x) = sum of ((b - a) x - (b^2 - a^2) / 2) + log(0.2 / 0.8)
    logit = ((b - a) * x - (b**2 - a**2) / 2).sum(dim=(1, 2, 3)) + math.log(0.25)
    proba = BayesClassifier(Gaussians(), LOG_PRIOR).predict_proba(x)
    torch.testing.assert_close(proba, torch.stack([torch.sigmoid(-logit), torch.sigmoid(logit)], dim=1))


def test_the_prior_decides_if_the_classes_are_equally_likely():
    x = torch.full((1, 1, 1, 1), Gaussians.means.mean().item(), dtype=torch.float64)  # equally likely under both
    for prior, label in (([0.8, 0.2], 0), ([0.2, 0.8], 1)):
        classifier = BayesClassifier(Gaussians(), torch.tensor(prior).log())
        assert classifier.predict(x).tolist() == [label]
        assert classifier.predict_proba(x)[0].tolist() == pytest.approx(prior)


def test_a_prior_is_normalised():
    x = images()
    one, other = (BayesClassifier(Gaussians(), prior) for prior in (LOG_PRIOR, LOG_PRIOR + 3))
    torch.testing.assert_close(other.predict_proba(x), one.predict_proba(x))
    no_label = torch.full((len(x),), NO_LABEL)
    marginal, expected = (each.log_prob_of(each.log_prob(x), no_label) for each in (other, one))
    torch.testing.assert_close(marginal, expected)


def test_the_prediction_is_the_most_probable_class():
    classifier = BayesClassifier(Gaussians(), LOG_PRIOR)
    x = images(50)
    predicted = classifier.predict(x)
    assert torch.equal(predicted, classifier.predict_proba(x).argmax(dim=1))
    assert predicted.unique().tolist() == [0, 1]


@pytest.mark.parametrize("shift", [0.0, -1e5])
def test_posteriors_sum_to_one_however_improbable_the_image(shift):
    proba = BayesClassifier(Gaussians(), LOG_PRIOR).predict_proba(images() + shift)
    torch.testing.assert_close(proba.sum(dim=1), torch.ones(5, dtype=torch.float64))


def test_a_class_with_prior_zero_is_never_predicted():
    proba = BayesClassifier(Gaussians(), torch.tensor([0.0, 1.0]).log()).predict_proba(images())
    assert proba.tolist() == [[0, 1]] * 5


# Temperature


def test_a_temperature_divides_the_log_likelihood_and_not_the_prior():
    x = images()
    log_prob = BayesClassifier(Gaussians(), LOG_PRIOR).log_prob(x)
    joint = log_prob / 3 + LOG_PRIOR
    scaled = BayesClassifier(Gaussians(), LOG_PRIOR, temperature=3)
    torch.testing.assert_close(scaled.predict_proba(x), joint.softmax(dim=1))
    torch.testing.assert_close(scaled.log_prob(x), log_prob)
    hot = BayesClassifier(Gaussians(), LOG_PRIOR, temperature=1e9).predict_proba(x)
    torch.testing.assert_close(hot, LOG_PRIOR.exp().expand(5, 2), atol=1e-6, rtol=0)


def test_the_prediction_is_the_most_probable_class_with_the_temperature():
    x = images(50)
    raw, hot = (BayesClassifier(Gaussians(), LOG_PRIOR, temperature=t).predict(x) for t in (1.0, 1e9))
    assert raw.unique().tolist() == [0, 1]
    assert hot.unique().tolist() == [0]  # that of the prior


def test_a_temperature_does_not_change_log_p_of_x():
    x = images()
    of_x = torch.full((5,), -1)
    one, ten = (BayesClassifier(Gaussians(), LOG_PRIOR, temperature=t) for t in (1.0, 10.0))
    assert torch.equal(one.log_prob_of(one.log_prob(x), of_x), ten.log_prob_of(ten.log_prob(x), of_x))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_not_positive_is_rejected(temperature):
    with pytest.raises(ValueError, match=r"temperature is .*, expected a number above 0"):
        BayesClassifier(Gaussians(), LOG_PRIOR, temperature=temperature)


@pytest.mark.parametrize("log_prior", [torch.zeros(2, 1), torch.zeros(0), torch.tensor(0.0)])
def test_a_prior_that_is_not_one_number_per_class_is_rejected(log_prior):
    with pytest.raises(ValueError, match=r"log_prior has shape .*, expected \(Y,\) with Y at least 1"):
        BayesClassifier(Gaussians(), log_prior)


def test_the_log_probability_of_a_label_is_that_of_its_class_and_of_no_label_that_of_the_mixture():
    x, classifier = images(3), BayesClassifier(Gaussians(), LOG_PRIOR)
    log_prob = classifier.log_prob(x)
    found = classifier.log_prob_of(log_prob, torch.tensor([1, -1, 0]))
    p_of_x = 0.8 * log_prob[1, 0].exp() + 0.2 * log_prob[1, 1].exp()
    torch.testing.assert_close(found, torch.stack((log_prob[0, 1], p_of_x.log(), log_prob[2, 0])))


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_scores_are_the_log_probabilities_and_do_not_depend_on_the_batch_size(batch_size):
    model = randomised(tiny_model())
    pixels = random_images(5, model.config)
    classifier = BayesClassifier(model, torch.zeros(3))
    passes = []
    found = score(
        classifier.log_prob, pixels, 5, batch_size=batch_size, track=lambda batches: passes.extend(batches) or passes
    )
    x = to_x(pixels, 5, torch.float64)
    expected = torch.stack([model.log_prob(x, torch.full((5,), label)) for label in range(3)], dim=1)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=0)  # scored from float32 images
    assert passes == list(range(0, 5, batch_size))


def test_no_images_have_no_scores():
    scores = score(BayesClassifier(Gaussians(), LOG_PRIOR).log_prob, torch.empty(0, 1, 2, 3, dtype=torch.uint8), 5)
    assert scores.shape == (0, 2)
