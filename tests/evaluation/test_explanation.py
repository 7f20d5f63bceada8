from dataclasses import replace

import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.evaluation.explanation import explain, log_likelihood_ratio, rivals
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing


def network():
    return randomised(tiny_model()).requires_grad_(False)


def trained():
    return Checkpoint(
        network=network(),
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_size=(8, 12), levels=5),
        prior=(0.5, 0.25, 0.25),
    )


A, B = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0])


def images():
    return to_x(random_images(3, tiny_model().config), 5, torch.float64)


def test_the_pixels_of_an_image_share_its_log_probability_out():
    model, x = network(), images()
    assert model.pixel_log_prob(x, A).shape == (3, 8, 12)
    torch.testing.assert_close(model.pixel_log_prob(x, A).sum(dim=(1, 2)), model.log_prob(x, A), rtol=1e-14, atol=0)


def test_the_ratios_sum_to_the_difference_of_the_log_probabilities():
    model, x = network(), images()
    ratio = log_likelihood_ratio(model, x, A, B)
    assert ratio.shape == (3, 8, 12)
    expected = model.log_prob(x, A) - model.log_prob(x, B)
    torch.testing.assert_close(ratio.sum(dim=(1, 2)), expected, rtol=0, atol=1e-10)
    assert expected.abs().min() > 0.1


def test_exchanging_the_classes_changes_the_sign_and_a_class_against_itself_is_zero():
    model, x = network(), images()
    assert torch.equal(log_likelihood_ratio(model, x, A, B), -log_likelihood_ratio(model, x, B, A))
    assert not log_likelihood_ratio(model, x, A, A).any()


def test_a_pixels_ratio_does_not_depend_on_the_pixels_after_it():
    model, x = network(), images()
    changed = x.clone()
    changed[:, :, 4, 6:] = -changed[:, :, 4, 6:]
    changed[:, :, 5:] = -changed[:, :, 5:]
    before, after = (log_likelihood_ratio(model, image, A, B).flatten(1) for image in (x, changed))
    torch.testing.assert_close(before[:, : 4 * 12 + 6], after[:, : 4 * 12 + 6])
    assert (before[:, 4 * 12 + 6] != after[:, 4 * 12 + 6]).all()


LOG_POSTERIOR = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.1, 0.7], [0.3, 0.6, 0.1]], dtype=torch.float64).log()


def test_a_prediction_is_set_against_the_truth_if_wrong_and_else_against_the_next():
    assert rivals(LOG_POSTERIOR) == [(0, 1), (2, 0), (1, 0)]
    assert rivals(LOG_POSTERIOR, torch.tensor([0, 1, -1])) == [(0, 1), (2, 1), (1, 0)]


@pytest.mark.parametrize("batch_size", [2, 16])
def test_explanations_are_of_their_own_image_and_classes(batch_size):
    pixels, pairs = random_images(3, tiny_model().config), [(0, 1), (2, 1), (1, 0)]
    checkpoint = replace(trained(), network=network().float())
    found = explain(checkpoint, pixels, LOG_POSTERIOR, pairs, batch_size=batch_size)
    assert [(one.label, one.other) for one in found] == pairs
    for image, one, p in zip(pixels, found, ((0.7, 0.2), (0.7, 0.1), (0.6, 0.3)), strict=True):
        classes = torch.tensor([[one.label], [one.other]])
        expected = log_likelihood_ratio(network(), to_x(image[None], 5, torch.float64), *classes)
        torch.testing.assert_close(one.ratio, expected[0], rtol=1e-3, atol=1e-3)
        assert one.nats == pytest.approx(float(one.ratio.sum()))
        assert one.probabilities == pytest.approx(p)
        assert torch.equal(one.pixels, image)


def test_every_image_needs_a_pair_of_classes():
    with pytest.raises(ValueError, match="3 images, 3 posteriors and 1 pairs of classes"):
        explain(trained(), random_images(3, tiny_model().config), LOG_POSTERIOR, [(0, 1)])
