"""Every density refuses images that are not as its network takes them."""

import pytest
import torch
from networks import tiny_model

from pixelbayes.inference import BayesClassifier, MultiView, ReferenceScorer, Scorer
from pixelbayes.utils.errors import InputError

WRONG_X = {
    "uint8": (torch.zeros(2, 3, 8, 12, dtype=torch.uint8), r"x is torch.uint8, expected floats in \[-1, 1\]"),
    "one channel": (torch.zeros(2, 1, 8, 12), r"x has shape \(2, 1, 8, 12\), expected \(B, 3, 8, 12\)"),
    "another size": (torch.zeros(2, 3, 9, 12), r"x has shape \(2, 3, 9, 12\)"),
    "one image": (torch.zeros(3, 8, 12), r"x has shape \(3, 8, 12\)"),
    "in [0, 1]": (torch.arange(5.0).expand(36, -1)[:, 1:].reshape(2, 3, 2, 12).repeat(1, 1, 4, 1) / 4, "x holds 0.25"),
    "8 bits": (torch.full((2, 3, 8, 12), 255.0), "x holds 255, which is none of the 5 levels"),
    "standardised": (torch.full((2, 3, 8, 12), 1.5), "x holds 1.5"),
    "not a number": (torch.full((2, 3, 8, 12), torch.nan), "x holds nan"),
}


DENSITIES = (Scorer, ReferenceScorer, lambda network: network, lambda network: MultiView(Scorer(network), 1))


@pytest.mark.parametrize(("x", "message"), WRONG_X.values(), ids=WRONG_X)
@pytest.mark.parametrize("density", DENSITIES)
def test_whatever_classifies_refuses_other_images_and_says_what_to_call(density, x, message):
    classifier = BayesClassifier(density(tiny_model()), torch.zeros(3))
    for call in (classifier.log_prob, classifier.predict, classifier.predict_proba):
        with pytest.raises(InputError, match=rf"{message}.*; `to_x` makes x from uint8 levels, and `predict` of what"):
            call(x)


def test_the_likelihood_refuses_integers_and_other_channels():
    network, label = tiny_model(), torch.zeros(2, dtype=torch.long)
    with pytest.raises(InputError, match="x is torch"):
        Scorer(network).log_prob(WRONG_X["uint8"][0], label)
    with pytest.raises(InputError, match="x is torch"):
        network.log_prob(WRONG_X["uint8"][0], label)
    with pytest.raises(InputError, match=r"x has shape \(2, 1, 8, 12\), expected \(B, 3, H, W\)"):
        network.log_prob(WRONG_X["one channel"][0], label)


def test_the_network_itself_takes_values_between_the_levels_because_it_has_gradients():
    x = torch.full((2, 3, 8, 12), 0.1, dtype=torch.float64, requires_grad=True)
    tiny_model().log_prob(x, torch.tensor([0, 1])).sum().backward()
    assert x.grad.isfinite().all()
