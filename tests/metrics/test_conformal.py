import numpy as np
import pytest
import torch

from pixelbayes.metrics.conformal import fit_set_threshold, prediction_sets, set_members, set_metrics


def posteriors(count, seed=0, classes=4, sharpness=2.0):
    """p(c | x) of noisy images, and labels that agree with them as often as 1.5 of them would."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator, dtype=torch.float64)
    labels = torch.multinomial((1.5 * logits).softmax(dim=1), 1, generator=generator).flatten()
    return (sharpness * logits).softmax(dim=1), labels


def test_the_threshold_equals_a_case_worked_by_hand():
    own = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    posterior = torch.stack((own, 1 - own), dim=1)
    labels = torch.zeros(9, dtype=torch.long)
    # ceil(10 * 0.8) = 8, and the eighth largest is 0.2; of nine images none can decide on 0.95
    assert fit_set_threshold(posterior, labels, 0.8) == pytest.approx(0.2)
    assert fit_set_threshold(posterior, labels, 0.95) == 0
    more, unknown = torch.cat([posterior, posterior]), torch.cat([labels, torch.full((9,), -1)])
    assert fit_set_threshold(more, unknown, 0.8) == pytest.approx(0.2)
    twenty = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    assert fit_set_threshold(torch.stack((twenty, 1 - twenty), 1), torch.zeros(19, dtype=torch.long), 0.95) == 0.05


def test_a_set_holds_the_probable_classes_and_always_the_most_probable_one():
    posterior = torch.tensor([[0.6, 0.3, 0.1], [0.4, 0.35, 0.25], [0.34, 0.33, 0.33]], dtype=torch.float64)
    assert set_members(prediction_sets(posterior, 0.3), "abc") == [("a", "b"), ("a", "b"), ("a", "b", "c")]
    assert set_members(prediction_sets(posterior, 0.9), "abc") == [("a",)] * 3
    assert prediction_sets(posterior, 0.0).all()


@pytest.mark.parametrize("coverage", [0.8, 0.95])
@pytest.mark.parametrize("sharpness", [0.5, 6.0])  # too uncertain, too certain: the guarantee does not depend on it
def test_sets_hold_the_label_as_often_as_asked(coverage, sharpness):
    held = []
    for seed in range(300):
        posterior, labels = posteriors(139, seed, sharpness=sharpness)
        threshold = fit_set_threshold(posterior[:39], labels[:39], coverage)
        sets = prediction_sets(posterior[39:], threshold)
        held.append(float(sets.gather(1, labels[39:, None]).double().mean()))
    mean, deviation = float(np.mean(held)), float(np.std(held)) / len(held) ** 0.5
    assert coverage - 4 * deviation < mean
    assert mean < coverage + 1 / 40 + 0.02 + 4 * deviation  # the most probable class is always held


@pytest.mark.parametrize("coverage", [0.7, 0.9, 0.95])
def test_the_sets_are_those_of_mapie(coverage):
    from mapie.classification import SplitConformalClassifier
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        """A classifier whose inputs are posteriors."""

        classes_ = np.arange(4)

        def fit(self, x, y):
            return self

        def predict_proba(self, x):
            return x

        def predict(self, x):
            return x.argmax(axis=1)

        def __sklearn_is_fitted__(self):
            return True

    posterior, labels = posteriors(400)
    mapie = SplitConformalClassifier(Given(), confidence_level=coverage, conformity_score="lac", prefit=True)
    mapie.conformalize(posterior[:200].numpy(), labels[:200].numpy())
    _, expected = mapie.predict_set(posterior[200:].numpy())
    threshold = fit_set_threshold(posterior[:200], labels[:200], coverage)
    found = prediction_sets(posterior[200:], threshold)
    plain = torch.from_numpy(expected[:, :, 0])
    assert torch.equal(found, plain | (posterior[200:] == posterior[200:].amax(dim=1, keepdim=True)))
    assert 1 < found.double().sum(dim=1).mean() < 4


def test_coverage_and_size_are_measured_overall_and_by_class():
    sets = torch.tensor([[True, False, False], [True, True, False], [False, True, True], [True, True, True]])
    found = set_metrics(sets, torch.tensor([0, 0, 0, 1]), ("a", "b", "c"))
    assert (found["n"], found["coverage"], found["mean_size"]) == (4, 0.75, 2.0)
    assert found["per_class"]["a"]["coverage"] == pytest.approx(2 / 3)
    assert found["per_class"]["b"]["mean_size"] == 3
    assert "c" not in found["per_class"]  # no image has this label
    low, high = found["interval"]
    assert low < 0.75 < high
    assert set_metrics(sets, torch.full((4,), -1), ("a", "b", "c")) == {"per_class": {}}
