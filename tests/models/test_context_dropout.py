import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.images.pixels import to_x
from pixelbayes.inference import Scorer, Viewed, combined
from pixelbayes.inference.multi_view import OneByOne
from pixelbayes.models.context_dropout import context_mask, fixed_masks
from pixelbayes.models.pixelcnn import Architecture
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import Key


def key(count=1, step=0):
    return Key.of(0, "training", step, torch.arange(count))


def images(network, count=3):
    return to_x(random_images(count, network.config), network.config.levels, torch.float64)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.8])
def test_patches_are_hidden_as_often_as_asked(probability):
    masks = context_mask(key(50), probability, 1, 20, 20)
    assert masks.shape == (50, 1, 20, 20)
    assert set(masks.unique().tolist()) == {0, 1}
    hidden = 1 - masks.mean(dim=(1, 2, 3))
    assert hidden.mean().item() == pytest.approx(probability, abs=0.02)
    assert len(set(hidden.tolist())) > 10  # each image has its own


def test_a_patch_is_hidden_whole_and_cut_off_at_the_edges():
    masks = context_mask(key(8), 0.5, 3, 7, 8)
    assert masks.shape == (8, 1, 7, 8)
    for top in range(0, 7, 3):
        for left in range(0, 8, 3):
            patch = masks[:, :, top : top + 3, left : left + 3].flatten(1)
            assert (patch == patch[:, :1]).all()
    assert 0 < masks.mean() < 1


def test_masks_are_a_function_of_step_and_image():
    assert torch.equal(
        context_mask(key(4), 0.5, 2, 8, 8)[2:3], context_mask(Key.of(0, "training", 0, torch.tensor([2])), 0.5, 2, 8, 8)
    )
    assert not torch.equal(context_mask(key(4), 0.5, 2, 8, 8), context_mask(key(4, step=1), 0.5, 2, 8, 8))
    assert torch.equal(fixed_masks(3, 0.5, 2, 8, 8), fixed_masks(5, 0.5, 2, 8, 8)[:3])


@pytest.mark.parametrize("fusion", ["film", "one-hot-map+after-block", "input-add"])
def test_nothing_of_a_hidden_pixel_reaches_the_network(fusion):
    network = randomised(tiny_model(fusion, normalise=True, mean=(0.3,), std=(0.7,)))
    x, label = images(network, 1), torch.tensor([1])
    mask = torch.ones(1, 1, 8, 12, dtype=torch.float64)
    mask[:, :, 3, 4] = 0
    other = x.clone()
    other[:, :, 3, 4] *= -1
    assert torch.equal(network(x, label, shown=mask), network(other, label, shown=mask))
    assert not torch.equal(network(x, label), network(other, label))


def test_training_hides_patches_and_use_does_not():
    network = randomised(tiny_model(context_dropout=0.5, context_patch=2, dropout=0.0))
    x, label = images(network), torch.tensor([0, 1, 2])
    hidden = network(x, label, shown=context_mask(key(3), 0.5, 2, 8, 12))
    assert torch.equal(network(x, label, key(3)), hidden)
    whole = network(x, label)
    assert torch.equal(network(x, label, shown=torch.ones(3, 1, 8, 12)), whole)
    assert not torch.equal(hidden, whole)


def test_what_a_network_says_by_a_mask_is_a_density():
    """Over all images of 1 x 4 pixels, 1 channel and 3 levels."""
    network = randomised(
        tiny_model(channels=1, levels=3, image_size=(1, 4), num_classes=2, context_dropout=0.5, views=2)
    )
    every = to_x(torch.cartesian_prod(*[torch.arange(3, dtype=torch.uint8)] * 4).view(81, 1, 1, 4), 3, torch.float64)
    mask = torch.tensor([1.0, 0.0, 1.0, 1.0]).view(1, 1, 4)
    one = torch.ones(2, dtype=torch.float64)
    torch.testing.assert_close(OneByOne(network).class_log_prob(every, 2, 0, mask).exp().sum(dim=0), one)
    together = Viewed(Scorer(network), 2, "density", fixed_masks(6, 0.5, 1, 1, 4)).class_log_prob(every, 2)
    torch.testing.assert_close(together.exp().sum(dim=0), one)


@pytest.mark.parametrize("fusion", ["film", "one-hot-map", "none", "output-concat", "stem-add"])
def test_a_scorer_and_a_network_asked_class_by_class_agree_by_every_mask(fusion):
    network = randomised(tiny_model(fusion, context_dropout=0.4, context_patch=2, views=4))
    x, masks = images(network), fixed_masks(8, 0.4, 2, 8, 12)
    plain = Viewed(OneByOne(network), 4, "mean", masks).reading_log_prob(x, 3)
    assert plain.shape == (4, 3, 3, 3)
    torch.testing.assert_close(Viewed(Scorer(network), 4, "mean", masks).reading_log_prob(x, 3), plain)
    assert (
        len({round(value, 6) for value in plain[:, :, 0, 0].flatten().tolist()}) == 12
    )  # no two readings are the same


@pytest.mark.parametrize("combine", ["mean", "density"])
def test_masks_decide_the_class_where_there_are_any(combine):
    network = randomised(tiny_model(context_dropout=0.4, views=2))
    x, masks = images(network), fixed_masks(4, 0.4, 1, 8, 12)
    viewed = Viewed(OneByOne(network), 2, combine, masks)
    expected = combined(viewed.reading_log_prob(x, 3)[:, 1:].reshape(4, 3, 3), combine)
    torch.testing.assert_close(viewed.class_log_prob(x, 3), expected)


def test_each_view_is_read_whole_and_by_its_own_masks():
    network = randomised(tiny_model(context_dropout=0.4, views=2))
    x, masks = images(network), fixed_masks(4, 0.4, 1, 8, 12)
    found = Viewed(OneByOne(network), 2, "mean", masks).reading_log_prob(x, 3)
    for view, seen in enumerate((x, x.flip(3))):
        by = [None, *masks[2 * view : 2 * view + 2]]
        expected = torch.stack([OneByOne(network).class_log_prob(seen, 3, view, mask) for mask in by])
        torch.testing.assert_close(found[view], expected)


@pytest.mark.parametrize("settings", [{"context_dropout": 1.0}, {"context_dropout": -0.1}, {"context_patch": 0}])
def test_context_dropout_that_makes_no_sense_is_refused(settings):
    (name,) = settings
    with pytest.raises(InputError, match=name):
        Architecture(**settings)
