import math
from dataclasses import fields, replace

import pytest
import torch
from torch.nn.functional import pad
from torch.utils._python_dispatch import TorchDispatchMode

from pixelbayes.data import AugmentationConfig, augment, changes
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import Key

ALL = AugmentationConfig(
    flip=0.5, rotation_degrees=20, crop=2, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1, noise=0.1, cutout=0.5
)
NAMES = [field.name for field in fields(ALL) if field.name not in ("cutout_area", "share")]
EACH = [AugmentationConfig(**{name: getattr(ALL, name)}) for name in NAMES]


def key(count=64, seed=0, step=0):
    return Key.of(seed, "augmentation", step, torch.arange(count))


def noise(count=64, channels=3, levels=256):
    """uint8 (B, C, 8, 12)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(levels, (count, channels, 8, 12), generator=generator, dtype=torch.uint8)


def constant(*colour, count=500):
    """uint8 (B, C, 8, 12) of one colour."""
    return torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(count, -1, 8, 12).contiguous()


# Whatever is asked for


@pytest.mark.parametrize("config", [ALL, *EACH], ids=["all", *NAMES])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_happens_to_an_image_does_not_depend_on_its_batch(config, channels):
    pixels = noise(channels=channels)
    together = augment(pixels, 256, config, key())
    alone = [
        augment(pixels[i : i + 1], 256, config, Key.of(0, "augmentation", 0, torch.tensor([i]))) for i in range(64)
    ]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("config", [ALL, *EACH], ids=["all", *NAMES])
def test_seed_and_step_each_change_what_happens(config):
    pixels = noise()
    first = augment(pixels, 256, config, key())
    assert torch.equal(first, augment(pixels, 256, config, key()))
    for other in (key(seed=1), key(step=1)):
        assert not torch.equal(first, augment(pixels, 256, config, other))


def test_what_happens_of_one_kind_does_not_depend_on_what_else_may_happen():
    plain = augment(noise(), 256, AugmentationConfig(flip=0.5), key())
    faint = augment(noise(), 256, AugmentationConfig(flip=0.5, noise=1e-9, brightness=1e-9, cutout=1e-9), key())
    assert torch.equal(plain, faint)


@pytest.mark.parametrize("levels", [2, 5, 17, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_stay_on_their_levels(levels, channels):
    strong = replace(ALL, brightness=1.0, contrast=1.0, saturation=1.0, hue=0.5, noise=1.0)
    changed = augment(noise(channels=channels, levels=levels), levels, strong, key())
    assert changed.dtype == torch.uint8
    assert changed.shape == (64, channels, 8, 12)
    assert (changed.min(), changed.max()) == (0, levels - 1)


def test_nothing_asked_is_nothing_done():
    pixels = noise()
    assert augment(pixels, 256, AugmentationConfig(), key()) is pixels


def test_the_images_given_stay_as_they_are():
    pixels = noise()
    augment(pixels, 256, ALL, key())
    assert torch.equal(pixels, noise())


@pytest.mark.parametrize(
    "name", ["rotation_degrees", "brightness", "contrast", "saturation", "hue", "noise", "flip", "cutout"]
)
def test_a_change_too_small_to_see_rounds_away(name):
    config = AugmentationConfig(**{name: 1e-9})
    assert torch.equal(augment(noise(), 256, config, key()), noise())


def test_the_host_never_waits_for_a_number_from_the_device():
    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            assert "_local_scalar_dense" not in str(function)
            assert "nonzero" not in str(function)
            return function(*args, **(kwargs or {}))

    with Watch():
        augment(noise(), 256, ALL, key())


# Moves


@pytest.mark.parametrize("levels", [5, 256])
def test_a_flip_swaps_left_and_right_exactly(levels):
    pixels = noise(levels=levels)
    assert torch.equal(augment(pixels, levels, AugmentationConfig(flip=1.0), key()), pixels.flip(3))


def test_images_are_flipped_with_the_probability_asked():
    pixels = noise(count=1000)
    flipped = (augment(pixels, 256, AugmentationConfig(flip=0.3), key(1000)) != pixels).flatten(1).any(dim=1)
    assert flipped.double().mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 1000))


def test_a_crop_is_a_window_of_the_image_reflected_at_its_edges_and_all_windows_are_met():
    pixels = noise(count=500)
    cropped = augment(pixels, 256, AugmentationConfig(crop=2), key(500))
    padded = pad(pixels.double(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    windows = [padded[:, :, row : row + 8, column : column + 12] for row in range(5) for column in range(5)]
    matches = torch.stack([(window == cropped).flatten(1).all(dim=1) for window in windows])  # (25, B)
    assert (matches.sum(dim=0) == 1).all()
    assert matches.sum(dim=1).min() > 5  # of 20 expected


def test_a_turn_is_about_the_centre_by_no_more_than_the_angle_asked():
    pixels = torch.zeros(200, 1, 9, 13, dtype=torch.uint8)
    pixels[:, :, 4, 9] = 255  # three to the right of the centre
    turned = augment(pixels, 256, AugmentationConfig(rotation_degrees=30), key(200)).double()
    mass = turned.sum(dim=(1, 2, 3))
    down = (turned.sum(dim=(1, 3)) * (torch.arange(9) - 4)).sum(dim=1) / mass
    right = (turned.sum(dim=(1, 2)) * (torch.arange(13) - 6)).sum(dim=1) / mass
    torch.testing.assert_close(torch.hypot(down, right), torch.full((200,), 3.0).double(), atol=0.15, rtol=0)
    angle = torch.rad2deg(torch.atan2(down, right))
    assert 25 < angle.max() < 33
    assert -33 < angle.min() < -25


# Colours


def test_brightness_multiplies_light_by_a_factor_uniform_about_one():
    changed = augment(constant(100, 50, 10), 256, AugmentationConfig(brightness=0.4), key(500))[:, :, 0, 0].double()
    factor = changed[:, 0] / 100
    assert 0.6 <= factor.min() < 0.65
    assert 1.35 < factor.max() <= 1.4
    assert factor.mean() == pytest.approx(1, abs=4 * 0.8 / math.sqrt(12 * 500))
    assert (changed[:, 1] - changed[:, 0] / 2).abs().max() <= 1  # rounding


def test_contrast_leaves_the_mean_grey_and_stretches_the_difference_to_it():
    pixels = constant(100)
    pixels[:, :, :, :6] = 140
    changed = augment(pixels, 256, AugmentationConfig(contrast=0.5), key(500)).double()
    assert (changed.mean(dim=(1, 2, 3)) - 120).abs().max() <= 1
    stretch = (changed[:, 0, 0, 0] - changed[:, 0, 0, -1]) / 40
    assert 0.5 <= stretch.min() < 0.6
    assert 1.4 < stretch.max() <= 1.5


@pytest.mark.parametrize("name", ["saturation", "hue"])
def test_grey_has_no_colour_to_change(name):
    config = AugmentationConfig(**{name: 0.5})
    for pixels in (noise(channels=1), noise(channels=1).expand(-1, 3, -1, -1)):
        assert torch.equal(augment(pixels, 256, config, key()), pixels)


def test_a_turn_of_the_hue_keeps_the_largest_and_the_smallest_channel():
    changed = augment(constant(200, 50, 120), 256, AugmentationConfig(hue=0.5), key(500))[:, :, 0, 0].int()
    assert (changed.amax(dim=1) - 200).abs().max() <= 1
    assert (changed.amin(dim=1) - 50).abs().max() <= 1
    assert set(changed.argmax(dim=1).tolist()) == {0, 1, 2}  # red becomes green and blue too


def test_saturation_scales_the_difference_between_channels():
    changed = augment(constant(140, 100, 120), 256, AugmentationConfig(saturation=0.5), key(500))[:, :, 0, 0].double()
    spread = (changed[:, 0] - changed[:, 1]) / 40
    assert 0.45 < spread.min() < 0.6
    assert 1.4 < spread.max() < 1.55


def test_noise_has_the_deviation_asked_in_units_of_x():
    changed = augment(constant(128), 256, AugmentationConfig(noise=0.1), key(500)).double()
    deviation = changed.std() / 127.5  # of x, which runs from -1 to 1 over 256 levels
    assert deviation == pytest.approx(0.1, rel=0.02)
    assert changed.mean() == pytest.approx(128, abs=0.3)


# Cut-outs


def test_a_cutout_is_one_grey_rectangle_of_the_area_asked():
    pixels = torch.zeros(300, 3, 40, 60, dtype=torch.uint8)
    hidden = augment(pixels, 256, AugmentationConfig(cutout=1.0, cutout_area=(0.1, 0.2)), key(300)) > 0
    rows, columns = hidden[:, 0].any(dim=2), hidden[:, 0].any(dim=1)
    assert torch.equal(hidden, (rows[:, None, :, None] & columns[:, None, None, :]).expand_as(hidden))
    share = hidden[:, 0].double().mean(dim=(1, 2))
    assert share.max() < 0.22
    inside = ~(hidden[:, 0, [0, -1]].any(dim=(1, 2)) | hidden[:, 0, :, [0, -1]].any(dim=(1, 2)))
    assert inside.sum() > 50
    assert share[inside].min() > 0.08


def test_images_are_cut_with_the_probability_asked():
    pixels = torch.zeros(1000, 1, 8, 12, dtype=torch.uint8)
    config = AugmentationConfig(cutout=0.25, cutout_area=(1.0, 1.0))
    cut = augment(pixels, 256, config, key(1000)).flatten(1).any(dim=1).double()
    assert cut.mean() == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 1000))


# Bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flip": 1.5}, "flip is 1.5, expected 0 to 1"),
        ({"cutout": -0.1}, "cutout is -0.1, expected 0 to 1"),
        ({"rotation_degrees": 200}, "rotation_degrees is 200, expected 0 to 180"),
        ({"brightness": 2}, "brightness is 2, expected 0 to 1"),
        ({"hue": 0.6}, "hue is 0.6, expected 0 to 0.5"),
        ({"noise": float("nan")}, "noise is nan, expected 0 to 2"),
        ({"crop": -1}, "crop is -1, expected 0 or more"),
        ({"cutout_area": (0.5, 0.2)}, r"cutout_area is \(0.5, 0.2\), expected the least and the largest share, 0 to 1"),
        ({"cutout_area": (0.5,)}, r"cutout_area is \(0.5,\), expected"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(changes, message):
    with pytest.raises(InputError, match=message):
        AugmentationConfig(**changes)


def test_a_move_out_of_the_image_is_refused():
    with pytest.raises(InputError, match="crop is 8, expected less than the sides of an image of 8x12"):
        augment(noise(), 256, AugmentationConfig(crop=8), key())


# A share of the images


def test_a_share_of_the_images_is_changed_and_the_others_stay():
    pixels, config = noise(count=1000), AugmentationConfig(noise=0.5, share=0.3)
    found = augment(pixels, 256, config, key(1000))
    whole = augment(pixels, 256, replace(config, share=1.0), key(1000))
    chosen = changes(config, key(1000))
    assert 0.25 < chosen.double().mean() < 0.35
    assert torch.equal(found[chosen], whole[chosen])
    assert torch.equal(found[~chosen], pixels[~chosen])


def test_nothing_is_changed_where_nothing_may_happen():
    assert not changes(AugmentationConfig(), key()).any()
    assert augment(pixels := noise(), 256, replace(ALL, share=0.0), key()) is pixels
