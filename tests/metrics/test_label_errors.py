import math

import pytest
import torch
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

from pixelbayes.metrics.label_errors import (
    HIGHEST_RATE,
    class_thresholds,
    confident_joint,
    label_error_rate,
    label_margin,
    p_wrong,
)


def noisy(num_classes, rate, separation=2.4, count=4000):
    """The exact posterior of the labels of Gaussian classes, the labels, and which of them are wrong."""
    generator = torch.Generator().manual_seed(num_classes)
    true = torch.randint(num_classes, (count,), generator=generator)
    z = torch.randn(count, num_classes, generator=generator, dtype=torch.float64)
    z[torch.arange(count), true] += separation
    wrong = torch.rand(count, generator=generator) < rate
    turned = (true + torch.randint(1, num_classes, (count,), generator=generator)) % num_classes
    q = (separation * z).softmax(dim=1)
    return (1 - rate) * q + rate / (num_classes - 1) * (1 - q), torch.where(wrong, turned, true), wrong


@pytest.mark.parametrize("rate", [0.05, 0.2])
@pytest.mark.parametrize("num_classes", [2, 4, 10])
def test_label_errors_are_found_better_than_by_cleanlab(num_classes, rate):
    posterior, labels, wrong = noisy(num_classes, rate)

    def f1(found):
        return 2 * int((found & wrong).sum()) / int(found.sum() + wrong.sum())

    ours = f1(p_wrong(posterior, labels, label_error_rate(posterior, labels)) > 0.5)
    theirs = f1(torch.from_numpy(find_label_issues(labels.numpy(), posterior.numpy(), n_jobs=1)))
    assert ours > theirs > 0.4


@pytest.mark.parametrize("num_classes", [2, 4, 10])
def test_the_joint_is_that_of_cleanlab(num_classes):
    posterior, labels, _ = noisy(num_classes, 0.1)
    expected = compute_confident_joint(labels.numpy(), posterior.numpy())  # rounded to whole images
    assert (confident_joint(posterior, labels) - torch.from_numpy(expected)).abs().max() <= 1


def test_the_joint_counts_images_that_reach_the_mean_confidence_in_a_class_and_scales_them_to_all_images():
    posterior = torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.8, 0.0], [0.45, 0.4, 0.15]])
    labels = torch.tensor([0, 0, 1, 0, 1])
    # t = (0.9 + 0.5 + 0.2) / 3, (0.6 + 0.4) / 2; no image has label 2
    torch.testing.assert_close(class_thresholds(posterior, labels), torch.tensor([1.6 / 3, 0.5, math.inf]).double())
    # of label 0, the first image counts as 0, the fourth as 1 and the second as neither; of label 1 the third as 1
    expected = torch.tensor([[1.5, 1.5, 0], [0, 2, 0], [0, 0, 0]]).double()
    torch.testing.assert_close(confident_joint(posterior, labels), expected)
    assert label_error_rate(posterior, labels) == pytest.approx(1.5 / 5)


def test_the_probability_of_a_wrong_label_follows_from_bayes_rule():
    q, rate = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64), 0.1
    posterior = (1 - rate) * q + rate / 2 * (1 - q)
    # p(class 1, label 1 | x) = 0.9 * 0.2; p(class 0 or 2, label 1 | x) = 0.05 * 0.8
    found = p_wrong(posterior, torch.tensor([1]), rate)
    torch.testing.assert_close(found, torch.tensor([0.04 / 0.22], dtype=torch.float64))


def test_labels_that_networks_cannot_predict_are_not_all_wrong():
    generator = torch.Generator().manual_seed(0)
    posterior = torch.rand(200, 2, generator=generator).double().softmax(dim=1)
    labels = torch.randint(2, (200,), generator=generator)
    rate = label_error_rate(posterior, labels)
    assert rate == HIGHEST_RATE
    assert 0 < (p_wrong(posterior, labels, rate) > 0.5).double().mean() < 0.6


def test_without_label_errors_no_label_is_wrong_and_below_chance_it_certainly_is():
    posterior = torch.tensor([[0.999, 0.001, 0.0]]).double()
    assert p_wrong(posterior, torch.tensor([1]), 0.0).item() == pytest.approx(0, abs=1e-12)
    assert p_wrong(posterior, torch.tensor([1]), 0.01).item() == 1
    assert p_wrong(posterior, torch.tensor([2]), 0.01).item() == 1


def test_the_margin_of_a_posterior_is_the_normalised_margin_of_cleanlab():
    posterior, labels, _ = noisy(4, 0.05)
    expected = get_label_quality_scores(labels.numpy(), posterior.numpy(), method="normalized_margin")
    torch.testing.assert_close((label_margin(posterior, labels) + 1) / 2, torch.from_numpy(expected))
