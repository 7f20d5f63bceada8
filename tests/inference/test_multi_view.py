import math

import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.images.pixels import to_x
from pixelbayes.images.views import turned
from pixelbayes.inference import BayesClassifier, Scorer
from pixelbayes.inference.multi_view import OneByOne, Viewed
from pixelbayes.models.fusion import Condition

SQUARE = {"image_size": (8, 8), "views": 8, "tell_changed": True}


def images(network, count=3):
    return to_x(random_images(count, network.config), network.config.levels, torch.float64)


def in_view(network, x, view):
    """log p(t(x) | c, t) of each class by the network itself, (B, Y)."""
    told = torch.full((len(x),), view)
    of = [Condition(torch.full((len(x),), label), told) for label in range(network.config.num_classes)]
    return torch.stack([network.log_prob(turned(x, told), condition) for condition in of], dim=1)


@pytest.mark.parametrize("fusion", ["film", "one-hot-map+after-block", "none", "output-concat"])
@pytest.mark.parametrize("view", [0, 5])
def test_a_scorer_tells_the_network_the_view_it_is_told(fusion, view):
    network = randomised(tiny_model(fusion, **SQUARE))
    x = images(network)
    told = torch.full((len(x),), view)
    found = Scorer(network).class_log_prob(turned(x, told), 3, view)
    torch.testing.assert_close(found, in_view(network, x, view))


def test_a_network_hears_of_the_view_and_of_the_change():
    network = randomised(tiny_model(**SQUARE))
    x, label = images(network, 1), torch.tensor([1])
    told = [network.log_prob(x, Condition(label, torch.tensor([view]))).item() for view in range(16)]
    assert len(set(told)) == 16


def test_what_is_not_told_a_view_is_upright_and_clean():
    network = randomised(tiny_model(**SQUARE))
    x, label = images(network), torch.tensor([0, 1, 2])
    upright = network.log_prob(x, Condition(label, torch.zeros(3, dtype=torch.long)))
    torch.testing.assert_close(network.log_prob(x, label), upright)


def test_views_leave_a_network_at_its_start_as_it_would_be_without():
    plain, viewed = tiny_model(), tiny_model(views=4)
    viewed.load_state_dict(
        {name.replace("fusion.", "fusion.parts.0."): w for name, w in plain.state_dict().items()}, strict=False
    )
    x, told = images(plain), Condition(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3]))
    torch.testing.assert_close(viewed.log_prob(x, told), plain.log_prob(x, told.label))


def test_the_views_of_a_density_are_a_density():
    """Over all images of 1 x 2 pixels, 1 channel and 3 levels."""
    network = randomised(tiny_model(channels=1, levels=3, image_size=(1, 2), views=4, num_classes=2))
    every = torch.cartesian_prod(*[torch.arange(3, dtype=torch.uint8)] * 2).view(9, 1, 1, 2)
    log_prob = Viewed(Scorer(network), 4).class_log_prob(to_x(every, 3, torch.float64), 2)
    torch.testing.assert_close(log_prob.exp().sum(dim=0), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("count", [1, 2, 8])
def test_both_combinations_are_as_written(count):
    network = randomised(tiny_model(**SQUARE))
    x = images(network)
    each = torch.stack([in_view(network, x, view) for view in range(count)])
    scorer = Scorer(network)
    torch.testing.assert_close(Viewed(scorer, count, "mean").class_log_prob(x, 3), each.mean(dim=0))
    expected = each.exp().mean(dim=0).log()
    assert expected.isfinite().all()
    torch.testing.assert_close(Viewed(scorer, count).class_log_prob(x, 3), expected)


def test_a_classifier_takes_views_for_a_density():
    class Half:  # class 1 is likelier in view 0, class 0 by more in view 1
        def class_log_prob(self, x, num_classes, view=0, shown=None):
            return torch.tensor([[0.2, 0.4], [0.8, 0.4]][view]).log().expand(len(x), 2)

    x = torch.zeros(1, 1, 2, 2)
    posterior = BayesClassifier(Viewed(Half(), 2), torch.zeros(2)).predict_proba(x)
    assert posterior[0].tolist() == pytest.approx([0.5 / 0.9, 0.4 / 0.9])
    mean = BayesClassifier(Viewed(Half(), 2, "mean"), torch.zeros(2)).log_prob(x)
    assert mean[0, 0].item() == pytest.approx((math.log(0.2) + math.log(0.8)) / 2)


def test_an_odd_number_of_views_is_refused():
    with pytest.raises(ValueError, match="views is 3"):
        Viewed(Scorer(tiny_model()), 3)


def test_a_scorer_and_a_network_asked_class_by_class_agree_in_every_view():
    network = randomised(tiny_model(**SQUARE))
    x = images(network)
    plain = Viewed(OneByOne(network), 8).reading_log_prob(x, 3)
    torch.testing.assert_close(Viewed(Scorer(network), 8).reading_log_prob(x, 3), plain)
