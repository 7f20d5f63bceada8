import pytest
import torch
from networks import every_image, random_x, randomised, tiny_model

from pixelbayes.inference import MultiView, ReferenceScorer, Scorer, combine_log_probs
from pixelbayes.models.context_dropout import context_mask, fixed_masks
from pixelbayes.models.pixelcnn import Architecture
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import Key


def key(count=1, step=0):
    return Key.of(0, "training", step, torch.arange(count))


@pytest.mark.parametrize("probability", [0.1, 0.8])
def test_patches_are_masked_with_the_given_probability(probability):
    masks = context_mask(key(50), probability, 1, 20, 20)
    assert masks.shape == (50, 1, 20, 20)
    assert set(masks.unique().tolist()) == {0, 1}
    masked = 1 - masks.mean(dim=(1, 2, 3))
    assert masked.mean().item() == pytest.approx(probability, abs=0.02)
    assert len(set(masked.tolist())) > 10  # each image has its own mask


def test_a_patch_is_masked_as_a_whole_and_cut_off_at_the_edges():
    masks = context_mask(key(8), 0.5, 3, 7, 8)
    assert masks.shape == (8, 1, 7, 8)
    for top in range(0, 7, 3):
        for left in range(0, 8, 3):
            patch = masks[:, :, top : top + 3, left : left + 3].flatten(1)
            assert (patch == patch[:, :1]).all()
    assert 0 < masks.mean() < 1


def test_masks_are_a_function_of_step_and_image():
    masks = context_mask(key(4), 0.5, 2, 8, 8)
    single = context_mask(Key.of(0, "training", 0, torch.tensor([2])), 0.5, 2, 8, 8)
    assert torch.equal(masks[2:3], single)
    assert not torch.equal(masks, context_mask(key(4, step=1), 0.5, 2, 8, 8))
    assert torch.equal(fixed_masks(3, 0.5, 2, 8, 8), fixed_masks(5, 0.5, 2, 8, 8)[:3])


@pytest.mark.parametrize("fusion", ["film", "one-hot-map+after-block", "input-add"])
def test_a_masked_pixel_does_not_affect_the_network(fusion):
    network = randomised(tiny_model(fusion, normalise=True, mean=(0.3,), std=(0.7,)))
    x, label = random_x(network, 1), torch.tensor([1])
    mask = torch.ones(1, 1, 8, 12, dtype=torch.float64)
    mask[:, :, 3, 4] = 0
    other = x.clone()
    other[:, :, 3, 4] *= -1
    assert torch.equal(network(x, label, visible=mask), network(other, label, visible=mask))
    assert not torch.equal(network(x, label), network(other, label))


def test_the_key_of_training_draws_the_mask_and_without_a_key_everything_is_visible():
    network = randomised(tiny_model(context_dropout=0.5, context_patch=2, dropout=0.0))
    x, label = random_x(network), torch.tensor([0, 1, 2])
    masked = network(x, label, visible=context_mask(key(3), 0.5, 2, 8, 12))
    assert torch.equal(network(x, label, key(3)), masked)
    unmasked = network(x, label)
    assert torch.equal(network(x, label, visible=torch.ones(3, 1, 8, 12)), unmasked)
    assert not torch.equal(masked, unmasked)


def test_the_prediction_under_a_mask_is_a_density_and_so_is_a_mixture_of_several():
    network = randomised(
        tiny_model(channels=1, levels=3, image_size=(1, 4), num_classes=2, context_dropout=0.5, views=2)
    )
    images = every_image(network.config)
    mask = torch.tensor([1.0, 0.0, 1.0, 1.0]).view(1, 1, 4)
    one = torch.ones(2, dtype=torch.float64)
    of_mask = ReferenceScorer(network).class_log_prob(images, 2, 0, mask)
    torch.testing.assert_close(of_mask.exp().sum(dim=0), one)
    mixture = MultiView(Scorer(network), 2, "mixture", fixed_masks(6, 0.5, 1, 1, 4)).class_log_prob(images, 2)
    torch.testing.assert_close(mixture.exp().sum(dim=0), one)


@pytest.mark.parametrize("fusion", ["film", "one-hot-map", "none", "output-concat", "stem-add"])
def test_a_scorer_and_the_reference_scorer_agree_in_every_view_and_under_every_mask(fusion):
    network = randomised(tiny_model(fusion, context_dropout=0.4, context_patch=2, views=4))
    x, masks = random_x(network), fixed_masks(8, 0.4, 2, 8, 12)
    reference = MultiView(ReferenceScorer(network), 4, "product", masks).pass_log_probs(x, 3)
    assert reference.shape == (4, 3, 3, 3)
    torch.testing.assert_close(MultiView(Scorer(network), 4, "product", masks).pass_log_probs(x, 3), reference)
    passes = reference[:, :, 0, 0].flatten().tolist()
    assert len({round(value, 6) for value in passes}) == 12  # no two passes are the same


@pytest.mark.parametrize("combine", ["product", "mixture"])
def test_masked_passes_decide_the_class_if_there_are_any(combine):
    network = randomised(tiny_model(context_dropout=0.4, views=2))
    x, masks = random_x(network), fixed_masks(4, 0.4, 1, 8, 12)
    density = MultiView(ReferenceScorer(network), 2, combine, masks)
    expected = combine_log_probs(density.pass_log_probs(x, 3)[:, 1:].reshape(4, 3, 3), combine)
    torch.testing.assert_close(density.class_log_prob(x, 3), expected)


def test_each_view_is_scored_unmasked_and_with_its_own_masks():
    network = randomised(tiny_model(context_dropout=0.4, views=2))
    x, masks = random_x(network), fixed_masks(4, 0.4, 1, 8, 12)
    found = MultiView(ReferenceScorer(network), 2, "product", masks).pass_log_probs(x, 3)
    for view, viewed in enumerate((x, x.flip(3))):
        of_view = [None, *masks[2 * view : 2 * view + 2]]
        expected = torch.stack([ReferenceScorer(network).class_log_prob(viewed, 3, view, mask) for mask in of_view])
        torch.testing.assert_close(found[view], expected)


@pytest.mark.parametrize("settings", [{"context_dropout": 1.0}, {"context_dropout": -0.1}, {"context_patch": 0}])
def test_context_dropout_out_of_bounds_is_rejected(settings):
    (name,) = settings
    with pytest.raises(InputError, match=name):
        Architecture(**settings)
