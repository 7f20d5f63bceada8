from dataclasses import replace

import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.data import Split
from pixelbayes.evaluation.measure import calibrate, measure
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.inference import BayesClassifier, Ensemble, Scorer, Viewed, score
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.utils.errors import InputError

PRIOR = (0.5, 0.25, 0.25)
DIMS = 3 * 8 * 12
FUSIONS = ("film", "adaln", "stem-add")  # members need not be alike


def trained(fusion="film", views=2):
    return Checkpoint(
        network=randomised(tiny_model(fusion, views=views)).float(),
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_size=(8, 12), levels=5),
        prior=PRIOR,
    )


def split(*labels):
    pixels = random_images(len(labels), tiny_model().config)
    return Split(pixels, torch.tensor(labels), tuple(f"image {index}" for index in range(len(labels))))


IMAGES = split(0, 1, 2, 0, 1, 2, -1)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("combine", ["density", "mean"])
@pytest.mark.parametrize("views", [1, 2])
def test_the_figures_are_those_of_the_classifier_whose_density_is_the_ensemble(views, combine, plain):
    first, *others = (trained(fusion) for fusion in FUSIONS)

    def classifier(how):
        each = [Viewed(Scorer(one.network), views, how) for one in (first, *others)]
        return BayesClassifier(Ensemble(each, how), first.log_prior)

    found = measure(first, IMAGES, members=others, views=views, combine=combine, plain=plain)
    log_prob = {how: score(classifier(how).log_prob, IMAGES.pixels, 5) for how in ("density", "mean")}
    near = {"rtol": 1e-5, "atol": 1e-3}
    torch.testing.assert_close(found.log_posterior, classifier(combine).log_posterior(log_prob[combine]), **near)
    torch.testing.assert_close(found.log_prob, log_prob["density"], **near)
    nll = -classifier("density").log_prob_of(log_prob["density"], IMAGES.labels)
    assert found.bits_per_dim == pytest.approx(bits_per_dim(nll, DIMS).mean().item(), rel=1e-6)
    assert (found.views, found.combine) == (views, combine)


@pytest.mark.parametrize("combine", ["density", "mean"])
def test_two_copies_of_a_network_are_that_network(combine):
    one = trained()
    alone = measure(one, IMAGES, views=2, combine=combine)
    both = measure(one, IMAGES, members=[one], views=2, combine=combine)
    torch.testing.assert_close(both.log_posterior, alone.log_posterior, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(both.log_prob, alone.log_prob, rtol=1e-12, atol=1e-9)
    same = both.figures() | {"images_per_second": None}
    assert same["bits_per_dim"] == pytest.approx(alone.bits_per_dim, rel=1e-12)
    assert same["accuracy"] == alone.figures()["accuracy"]


def test_the_order_of_the_networks_does_not_matter():
    one, other = trained("film"), trained("adaln")
    found = [measure(a, IMAGES, members=[b]).log_prob for a, b in ((one, other), (other, one))]
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-9)


def test_a_temperature_of_one_network_is_not_that_of_an_ensemble_but_its_views_are_scored():
    plain, other = trained("film"), trained("adaln")
    images = split(*[0, 1, 2] * 4)
    fit = calibrate(plain, measure(plain, images, views=2, combine="mean"), "zoo", "validation")
    stored = replace(plain, calibration=replace(fit, temperature=50.0, data="of others"))
    found, bare = (
        measure(stored, images, members=[other]),
        measure(plain, images, members=[other], views=2, combine="mean"),
    )
    assert (found.views, found.combine) == (2, "mean")
    assert found.calibrated.source == "cross-fitted on these images"
    assert found.calibrated == bare.calibrated
    assert torch.equal(found.log_posterior, bare.log_posterior)


def test_networks_that_cannot_be_taken_as_one_are_refused():
    with pytest.raises(InputError, match="network 3: differs from network 1 in prior, "):
        measure(trained(), IMAGES, members=[trained(), replace(trained(), prior=(0.25, 0.5, 0.25))])


def test_views_are_those_that_every_network_was_told_of():
    with pytest.raises(InputError, match="views is 4, but these networks together can score 1, 2; ask for that, or"):
        measure(trained(views=4), IMAGES, members=[trained(views=2)], views=4)
