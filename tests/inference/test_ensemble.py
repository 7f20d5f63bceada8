import pytest
import torch

from pixelbayes.inference import BayesClassifier
from pixelbayes.inference.multi_view import Ensemble


class Fixed:
    """Two classes, the same likelihoods for every image."""

    def __init__(self, *p):
        self.log_p = torch.tensor(p, dtype=torch.float64).log()

    def class_log_prob(self, x, num_classes):
        return self.log_p.expand(len(x), -1)


X = torch.zeros(3, 1, 2, 2, dtype=torch.float64)


def test_a_density_of_several_is_their_mean_and_classifies_by_it():
    ensemble = Ensemble([Fixed(0.2, 0.4), Fixed(0.7, 0.1)])
    assert ensemble.class_log_prob(X, 2)[1].exp().tolist() == pytest.approx([0.45, 0.25])
    assert BayesClassifier(ensemble, torch.zeros(2)).predict_proba(X)[2].tolist() == pytest.approx(
        [0.45 / 0.7, 0.25 / 0.7]
    )


def test_the_mean_of_logarithms_multiplies_what_each_believes():
    classifier = BayesClassifier(Ensemble([Fixed(0.2, 0.4), Fixed(0.7, 0.1)], "mean"), torch.zeros(2))
    products = torch.tensor([0.2 * 0.7, 0.4 * 0.1]).sqrt()
    assert classifier.predict_proba(X)[0].tolist() == pytest.approx((products / products.sum()).tolist())


def test_one_network_is_its_own_ensemble():
    for combine in ("density", "mean"):
        found = Ensemble([Fixed(0.2, 0.4)], combine).class_log_prob(X, 2)
        torch.testing.assert_close(found, Fixed(0.2, 0.4).class_log_prob(X, 2), rtol=1e-15, atol=0)


def test_no_network_is_none():
    with pytest.raises(ValueError, match="ensemble of no density"):
        Ensemble([])
