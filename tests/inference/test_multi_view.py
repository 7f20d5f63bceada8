import math

import pytest
import torch
from networks import every_image, random_x, randomised, tiny_model

from pixelbayes.images.views import apply_view
from pixelbayes.inference import BayesClassifier, MultiView, ReferenceScorer, Scorer, classifying_passes
from pixelbayes.models.fusion import Condition

SQUARE = {"image_size": (8, 8), "views": 8, "condition_on_augmentation": True}


def in_view(network, x, view):
    """log p(t(x) | c, t) under every class, from the network itself, (B, Y)."""
    views = torch.full((len(x),), view)
    conditions = [Condition(torch.full((len(x),), label), views) for label in range(network.config.num_classes)]
    return torch.stack([network.log_prob(apply_view(x, views), condition) for condition in conditions], dim=1)


@pytest.mark.parametrize("fusion", ["film", "one-hot-map+after-block", "none", "output-concat"])
def test_a_scorer_conditions_the_network_on_the_view(fusion):
    network = randomised(tiny_model(fusion, **SQUARE))
    x = random_x(network)
    for view in (0, 5):
        viewed = apply_view(x, torch.full((len(x),), view))
        torch.testing.assert_close(Scorer(network).class_log_prob(viewed, 3, view), in_view(network, x, view))


def test_the_density_differs_for_every_view_with_and_without_augmentation():
    network = randomised(tiny_model(**SQUARE))
    x, label = random_x(network, 1), torch.tensor([1])
    densities = [network.log_prob(x, Condition(label, torch.tensor([view]))).item() for view in range(16)]
    assert len(set(densities)) == 16


def test_a_condition_without_a_view_means_view_0():
    network = randomised(tiny_model(**SQUARE))
    x, label = random_x(network), torch.tensor([0, 1, 2])
    view_0 = network.log_prob(x, Condition(label, torch.zeros(3, dtype=torch.long)))
    torch.testing.assert_close(network.log_prob(x, label), view_0)


def test_conditioning_on_views_does_not_change_the_initial_network():
    plain, with_views = tiny_model(), tiny_model(views=4)
    weights = {name.replace("fusion.", "fusion.parts.0."): w for name, w in plain.state_dict().items()}
    with_views.load_state_dict(weights, strict=False)
    x, condition = random_x(plain), Condition(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3]))
    torch.testing.assert_close(with_views.log_prob(x, condition), plain.log_prob(x, condition.label))


def test_a_mixture_over_views_is_a_density():
    network = randomised(tiny_model(channels=1, levels=3, image_size=(1, 2), views=4, num_classes=2))
    log_prob = MultiView(Scorer(network), 4).class_log_prob(every_image(network.config), 2)
    torch.testing.assert_close(log_prob.exp().sum(dim=0), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("views", [1, 2, 8])
def test_a_mixture_is_the_mean_of_the_densities_and_a_product_their_geometric_mean(views):
    network = randomised(tiny_model(**SQUARE))
    x, scorer = random_x(network), Scorer(network)
    each = torch.stack([in_view(network, x, view) for view in range(views)])
    torch.testing.assert_close(MultiView(scorer, views, "product").class_log_prob(x, 3), each.mean(dim=0))
    mixture = each.exp().mean(dim=0).log()
    assert mixture.isfinite().all()
    torch.testing.assert_close(MultiView(scorer, views).class_log_prob(x, 3), mixture)


def test_a_classifier_takes_several_views_as_one_density():
    class TwoViews:  # class 1 is more probable in view 0, class 0 in view 1
        def class_log_prob(self, x, num_classes, view=0, visible=None):
            return torch.tensor([[0.2, 0.4], [0.8, 0.4]][view]).log().expand(len(x), 2)

    x = torch.zeros(1, 1, 2, 2)
    posterior = BayesClassifier(MultiView(TwoViews(), 2), torch.zeros(2)).predict_proba(x)
    assert posterior[0].tolist() == pytest.approx([0.5 / 0.9, 0.4 / 0.9])
    product = BayesClassifier(MultiView(TwoViews(), 2, "product"), torch.zeros(2)).log_prob(x)
    assert product[0, 0].item() == pytest.approx((math.log(0.2) + math.log(0.8)) / 2)


def test_a_scorer_and_the_reference_scorer_agree_in_every_view():
    network = randomised(tiny_model(**SQUARE))
    x = random_x(network)
    reference = MultiView(ReferenceScorer(network), 8).pass_log_probs(x, 3)
    torch.testing.assert_close(MultiView(Scorer(network), 8).pass_log_probs(x, 3), reference)


def test_the_masked_passes_decide_if_there_are_any():
    passes = torch.arange(2 * 3 * 1 * 2).view(2, 3, 1, 2)  # 2 views, each unmasked and with 2 masks
    assert torch.equal(
        classifying_passes(passes), torch.stack((passes[0, 1], passes[0, 2], passes[1, 1], passes[1, 2]))
    )
    assert torch.equal(classifying_passes(passes[:, :1]), passes[:, 0])
