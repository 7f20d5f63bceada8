import pytest
import torch

from pixelbayes.inference import BayesClassifier, EnsembleDensity


class Constant:
    """Two classes, with the same likelihoods for every image."""

    def __init__(self, *p):
        self.log_p = torch.tensor(p, dtype=torch.float64).log()

    def class_log_prob(self, x, num_classes):
        return self.log_p.expand(len(x), -1)


X = torch.zeros(3, 1, 2, 2, dtype=torch.float64)
BOTH = [Constant(0.2, 0.4), Constant(0.7, 0.1)]


def test_a_mixture_is_the_mean_of_the_densities():
    ensemble = EnsembleDensity(BOTH)
    assert ensemble.class_log_prob(X, 2)[1].exp().tolist() == pytest.approx([0.45, 0.25])
    posterior = BayesClassifier(ensemble, torch.zeros(2)).predict_proba(X)
    assert posterior[2].tolist() == pytest.approx([0.45 / 0.7, 0.25 / 0.7])


def test_a_product_is_the_geometric_mean_of_the_densities():
    ensemble = EnsembleDensity(BOTH, "product")
    products = torch.tensor([0.2 * 0.7, 0.4 * 0.1]).sqrt()
    assert ensemble.class_log_prob(X, 2)[0].exp().tolist() == pytest.approx(products.tolist())
    posterior = BayesClassifier(ensemble, torch.zeros(2)).predict_proba(X)
    assert posterior[0].tolist() == pytest.approx((products / products.sum()).tolist())


@pytest.mark.parametrize("combine", ["mixture", "product"])
def test_an_ensemble_of_one_density_is_that_density(combine):
    found = EnsembleDensity(BOTH[:1], combine).class_log_prob(X, 2)
    torch.testing.assert_close(found, BOTH[0].class_log_prob(X, 2), rtol=1e-15, atol=0)


def test_an_ensemble_without_a_density_is_rejected():
    with pytest.raises(ValueError, match="densities is empty, expected one or more"):
        EnsembleDensity([])
