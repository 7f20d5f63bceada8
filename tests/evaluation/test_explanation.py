from dataclasses import replace

import pytest
import torch
from measured import random_split, trained_pixelcnn, trained_resnet
from networks import random_images, random_x, randomised, tiny_model

from pixelbayes.evaluation.explanation import contrast_classes, explain, log_likelihood_ratio, occlusion_ratio
from pixelbayes.images.pixels import to_x

A, B = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0])
LOG_POSTERIOR = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.1, 0.7], [0.3, 0.6, 0.1]], dtype=torch.float64).log()


@pytest.fixture(scope="module")
def network():
    return randomised(tiny_model()).requires_grad_(False)


def test_the_ratios_sum_to_the_difference_of_the_log_probabilities(network):
    x = random_x(network)
    ratio = log_likelihood_ratio(network, x, A, B)
    assert ratio.shape == (3, 8, 12)
    expected = network.log_prob(x, A) - network.log_prob(x, B)
    torch.testing.assert_close(ratio.sum(dim=(1, 2)), expected, rtol=0, atol=1e-10)
    assert expected.abs().min() > 0.1


def test_exchanging_the_classes_changes_the_sign_and_equal_classes_have_the_ratio_zero(network):
    x = random_x(network)
    assert torch.equal(log_likelihood_ratio(network, x, A, B), -log_likelihood_ratio(network, x, B, A))
    assert not log_likelihood_ratio(network, x, A, A).any()


def test_the_ratio_of_a_pixel_does_not_depend_on_later_pixels(network):
    x = random_x(network)
    changed = x.clone()
    changed[:, :, 4, 6:] = -changed[:, :, 4, 6:]
    changed[:, :, 5:] = -changed[:, :, 5:]
    before, after = (log_likelihood_ratio(network, image, A, B).flatten(1) for image in (x, changed))
    torch.testing.assert_close(before[:, : 4 * 12 + 6], after[:, : 4 * 12 + 6])
    assert (before[:, 4 * 12 + 6] != after[:, 4 * 12 + 6]).all()


def test_a_wrong_prediction_is_contrasted_with_the_true_class_and_any_other_with_the_second():
    assert contrast_classes(LOG_POSTERIOR) == [(0, 1), (2, 0), (1, 0)]
    assert contrast_classes(LOG_POSTERIOR, torch.tensor([0, 1, -1])) == [(0, 1), (2, 1), (1, 0)]


@pytest.mark.parametrize("batch_size", [2, 16])
def test_each_explanation_belongs_to_its_image_and_its_classes(network, batch_size):
    pixels, pairs = random_images(3, network.config), [(0, 1), (2, 1), (1, 0)]
    trained = replace(trained_pixelcnn(), network=network)
    found = explain(trained, pixels, LOG_POSTERIOR, pairs, batch_size=batch_size)
    assert [(one.label, one.other) for one in found] == pairs
    for image, one, p in zip(pixels, found, ((0.7, 0.2), (0.7, 0.1), (0.6, 0.3)), strict=True):
        classes = torch.tensor([[one.label], [one.other]])
        expected = log_likelihood_ratio(network, to_x(image[None], 5, torch.float64), *classes)
        torch.testing.assert_close(one.ratio, expected[0], rtol=1e-3, atol=1e-3)
        assert one.nats == pytest.approx(float(one.ratio.sum()))
        assert one.probabilities == pytest.approx(p)
        assert torch.equal(one.pixels, image)


def test_every_image_needs_two_classes():
    with pytest.raises(ValueError, match="3 images, 3 posteriors and 1 pairs of classes"):
        explain(trained_pixelcnn(), random_images(3, tiny_model().config), LOG_POSTERIOR, [(0, 1)])


def test_occlusion_spreads_what_one_pixel_decides_over_the_patches_that_contain_it():
    def network(x):  # the logit of class 1 is ten times the red of one pixel
        return torch.stack((torch.zeros(len(x)), 10 * x[:, 0, 2, 3]), dim=1)

    x = torch.zeros(1, 3, 5, 7, dtype=torch.float64)
    x[0, 0, 2, 3] = 1
    ratio = occlusion_ratio(network, x, torch.tensor([1]), torch.tensor([0]), patch=2)[0]
    contribution = 10 * (1 - 1 / 35)  # the patch is replaced by the mean, 1 / 35
    assert ratio.argmax() == 2 * 7 + 3
    torch.testing.assert_close(ratio[2, 3], torch.tensor(contribution / 4).double())
    torch.testing.assert_close(ratio[1, 2], torch.tensor(contribution / 16).double())  # in 1 of its 4 patches
    assert not ratio[:, :2].any()
    assert not ratio[:, 5:].any()
    torch.testing.assert_close(-ratio, occlusion_ratio(network, x, torch.tensor([0]), torch.tensor([1]), patch=2)[0])


def test_the_total_of_a_classifier_is_the_difference_of_its_logits():
    trained, split = trained_resnet(), random_split(0, 1, 2)
    (found, *_) = explain(trained, split.pixels, LOG_POSTERIOR, [(0, 1), (1, 2), (2, 0)])
    logits = trained.network(to_x(split.pixels, trained.image_shape.levels, torch.float64)).detach()
    assert found.nats == pytest.approx(float(logits[0, 0] - logits[0, 1]))
    assert found.ratio.shape == split.pixels.shape[2:]
