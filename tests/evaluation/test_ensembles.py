from dataclasses import replace

import pytest
import torch
from measured import random_split, trained_pixelcnn

from pixelbayes.checkpoints.merging import make_ensemble
from pixelbayes.evaluation.measure import calibrate, measure
from pixelbayes.inference import BayesClassifier, EnsembleDensity, MultiView, Scorer, ScoringConfig, score
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.utils.errors import InputError

DIMS = 3 * 8 * 12
FUSIONS = ("film", "adaln")  # members may have different fusions
IMAGES = random_split(0, 1, 2, -1)


@pytest.mark.parametrize(
    ("views", "combine", "reference"), [(1, "mixture", True), (2, "mixture", False), (2, "product", True)]
)
def test_an_ensemble_is_measured_as_the_classifier_with_its_density(views, combine, reference):
    members = [trained_pixelcnn(fusion, views=2) for fusion in FUSIONS]
    found = measure(make_ensemble(members), IMAGES, ScoringConfig(views=views, combine=combine, reference=reference))
    near = {"rtol": 1e-5, "atol": 1e-3}
    for how in {combine, "mixture"}:
        each = [MultiView(Scorer(member.network), views, how) for member in members]
        classifier = BayesClassifier(EnsembleDensity(each, how), members[0].log_prior)
        log_prob = score(classifier.log_prob, IMAGES.pixels, 5)
        if how == combine:
            torch.testing.assert_close(found.log_posterior, classifier.log_posterior(log_prob), **near)
        if how == "mixture":
            torch.testing.assert_close(found.log_prob, log_prob, **near)
            nll = -classifier.log_prob_of(log_prob, IMAGES.labels)
            assert found.bits_per_dim == pytest.approx(bits_per_dim(nll, DIMS).mean().item(), rel=1e-6)
    assert (found.views, found.combine) == (views, combine)


def test_two_copies_of_a_network_are_measured_like_the_network():
    one, scoring = trained_pixelcnn(views=2), ScoringConfig(views=2, combine="product")
    alone, both = measure(one, IMAGES, scoring), measure(make_ensemble([one, one]), IMAGES, scoring)
    torch.testing.assert_close(both.log_posterior, alone.log_posterior, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(both.log_prob, alone.log_prob, rtol=1e-12, atol=1e-9)
    assert both.bits_per_dim == pytest.approx(alone.bits_per_dim, rel=1e-12)
    assert both.metrics()["accuracy"] == alone.metrics()["accuracy"]


def test_the_order_of_the_networks_does_not_matter():
    one, other = trained_pixelcnn("film", views=2), trained_pixelcnn("adaln", views=2)
    found = [measure(make_ensemble(members), IMAGES).log_prob for members in ((one, other), (other, one))]
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-9)


def test_the_calibration_of_a_member_is_not_that_of_the_ensemble():
    plain, other = trained_pixelcnn("film", views=2), trained_pixelcnn("adaln", views=2)
    images, scoring = random_split(*[0, 1, 2] * 2), ScoringConfig(views=2, combine="product")
    record = calibrate(plain, measure(plain, images, scoring), "zoo", "validation")
    member = replace(plain, calibration=replace(record, temperature=50.0, data="other images"))
    found = measure(make_ensemble([member, other]), images, scoring)
    assert found.calibrated.source == "cross-fitted on these images"
    assert torch.equal(found.log_posterior, measure(make_ensemble([plain, other]), images, scoring).log_posterior)


def test_views_that_a_member_was_not_trained_for_are_refused():
    ensemble = make_ensemble([trained_pixelcnn(views=4), trained_pixelcnn(views=2)])
    with pytest.raises(InputError, match="views is 4, expected 1, 2; train a network"):
        measure(ensemble, IMAGES, ScoringConfig(views=4))
