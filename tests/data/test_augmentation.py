import math
from dataclasses import fields, replace

import pytest
import torch
from torch.nn.functional import pad
from torch.utils._python_dispatch import TorchDispatchMode

from pixelbayes.data import AugmentationConfig, augment, is_augmented
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
    """Images of one colour, uint8 (B, C, 8, 12)."""
    return torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(count, -1, 8, 12).contiguous()


# Every change


@pytest.mark.parametrize(("config", "channels"), [(ALL, 1), *((config, 3) for config in (ALL, *EACH))])
def test_the_change_of_an_image_does_not_depend_on_its_batch(config, channels):
    pixels = noise(channels=channels)
    together = augment(pixels, 256, config, key())
    for i in range(0, 64, 4):
        alone = augment(pixels[i : i + 1], 256, config, Key.of(0, "augmentation", 0, torch.tensor([i])))
        assert torch.equal(alone, together[i : i + 1])


@pytest.mark.parametrize("config", [ALL, *EACH], ids=["all", *NAMES])
def test_the_changes_depend_on_seed_and_step(config):
    pixels = noise()
    first = augment(pixels, 256, config, key())
    assert torch.equal(first, augment(pixels, 256, config, key()))
    for other in (key(seed=1), key(step=1)):
        assert not torch.equal(first, augment(pixels, 256, config, other))


def test_one_change_does_not_depend_on_whether_others_are_on():
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


def test_the_default_changes_nothing():
    pixels = noise()
    assert augment(pixels, 256, AugmentationConfig(), key()) is pixels


def test_the_input_is_not_modified():
    pixels = noise()
    augment(pixels, 256, ALL, key())
    assert torch.equal(pixels, noise())


@pytest.mark.parametrize(
    "name", ["rotation_degrees", "brightness", "contrast", "saturation", "hue", "noise", "flip", "cutout"]
)
def test_a_change_below_half_a_level_rounds_to_no_change(name):
    config = AugmentationConfig(**{name: 1e-9})
    assert torch.equal(augment(noise(), 256, config, key()), noise())


def test_no_operation_copies_a_value_to_the_host():
    class RejectCopies(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            assert "_local_scalar_dense" not in str(function)
            assert "nonzero" not in str(function)
            return function(*args, **(kwargs or {}))

    with RejectCopies():
        augment(noise(), 256, ALL, key())


# Moves


@pytest.mark.parametrize("levels", [5, 256])
def test_a_flip_swaps_left_and_right_exactly(levels):
    pixels = noise(levels=levels)
    assert torch.equal(augment(pixels, levels, AugmentationConfig(flip=1.0), key()), pixels.flip(3))


def test_images_are_flipped_with_the_given_probability():
    pixels = noise(count=1000)
    flipped = (augment(pixels, 256, AugmentationConfig(flip=0.3), key(1000)) != pixels).flatten(1).any(dim=1)
    assert flipped.double().mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 1000))


def test_a_crop_is_a_window_of_the_image_padded_with_its_reflection_and_all_windows_occur():
    pixels = noise(count=500)
    cropped = augment(pixels, 256, AugmentationConfig(crop=2), key(500))
    padded = pad(pixels.double(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    windows = [padded[:, :, row : row + 8, column : column + 12] for row in range(5) for column in range(5)]
    matches = torch.stack([(window == cropped).flatten(1).all(dim=1) for window in windows])  # (25, B)
    assert (matches.sum(dim=0) == 1).all()
    assert matches.sum(dim=1).min() > 5  # of 20 expected


def test_a_rotation_is_about_the_centre_and_within_the_given_angle():
    pixels = torch.zeros(200, 1, 9, 13, dtype=torch.uint8)
    pixels[:, :, 4, 9] = 255  # three pixels to the right of the centre
    rotated = augment(pixels, 256, AugmentationConfig(rotation_degrees=30), key(200)).double()
    mass = rotated.sum(dim=(1, 2, 3))
    down = (rotated.sum(dim=(1, 3)) * (torch.arange(9) - 4)).sum(dim=1) / mass
    right = (rotated.sum(dim=(1, 2)) * (torch.arange(13) - 6)).sum(dim=1) / mass
    torch.testing.assert_close(torch.hypot(down, right), torch.full((200,), 3.0).double(), atol=0.15, rtol=0)
    angle = torch.rad2deg(torch.atan2(down, right))
    assert 25 < angle.max() < 33
    assert -33 < angle.min() < -25


# Colours


def test_brightness_multiplies_all_colours_by_a_factor_uniform_around_one():
    changed = augment(constant(100, 50, 10), 256, AugmentationConfig(brightness=0.4), key(500))[:, :, 0, 0].double()
    factor = changed[:, 0] / 100
    assert 0.6 <= factor.min() < 0.65
    assert 1.35 < factor.max() <= 1.4
    assert factor.mean() == pytest.approx(1, abs=4 * 0.8 / math.sqrt(12 * 500))
    assert (changed[:, 1] - changed[:, 0] / 2).abs().max() <= 1  # rounding


def test_contrast_scales_the_difference_from_the_mean_grey():
    pixels = constant(100)
    pixels[:, :, :, :6] = 140
    changed = augment(pixels, 256, AugmentationConfig(contrast=0.5), key(500)).double()
    assert (changed.mean(dim=(1, 2, 3)) - 120).abs().max() <= 1
    stretch = (changed[:, 0, 0, 0] - changed[:, 0, 0, -1]) / 40
    assert 0.5 <= stretch.min() < 0.6
    assert 1.4 < stretch.max() <= 1.5


@pytest.mark.parametrize("name", ["saturation", "hue"])
def test_saturation_and_hue_do_not_change_grey(name):
    config = AugmentationConfig(**{name: 0.5})
    for pixels in (noise(channels=1), noise(channels=1).expand(-1, 3, -1, -1)):
        assert torch.equal(augment(pixels, 256, config, key()), pixels)


def test_hue_preserves_the_largest_and_the_smallest_channel():
    changed = augment(constant(200, 50, 120), 256, AugmentationConfig(hue=0.5), key(500))[:, :, 0, 0].int()
    assert (changed.amax(dim=1) - 200).abs().max() <= 1
    assert (changed.amin(dim=1) - 50).abs().max() <= 1
    assert set(changed.argmax(dim=1).tolist()) == {0, 1, 2}  # red also becomes green and blue


def test_saturation_scales_the_difference_between_channels():
    changed = augment(constant(140, 100, 120), 256, AugmentationConfig(saturation=0.5), key(500))[:, :, 0, 0].double()
    spread = (changed[:, 0] - changed[:, 1]) / 40
    assert 0.45 < spread.min() < 0.6
    assert 1.4 < spread.max() < 1.55


def test_noise_has_the_given_standard_deviation_in_units_of_x():
    changed = augment(constant(128), 256, AugmentationConfig(noise=0.1), key(500)).double()
    deviation = changed.std() / 127.5  # 256 levels in [-1, 1]
    assert deviation == pytest.approx(0.1, rel=0.02)
    assert changed.mean() == pytest.approx(128, abs=0.3)


# Cut-outs


def test_a_cutout_is_one_grey_rectangle_with_an_area_in_the_given_range():
    pixels = torch.zeros(300, 3, 40, 60, dtype=torch.uint8)
    hidden = augment(pixels, 256, AugmentationConfig(cutout=1.0, cutout_area=(0.1, 0.2)), key(300)) > 0
    rows, columns = hidden[:, 0].any(dim=2), hidden[:, 0].any(dim=1)
    assert torch.equal(hidden, (rows[:, None, :, None] & columns[:, None, None, :]).expand_as(hidden))
    share = hidden[:, 0].double().mean(dim=(1, 2))
    assert share.max() < 0.22
    inside = ~(hidden[:, 0, [0, -1]].any(dim=(1, 2)) | hidden[:, 0, :, [0, -1]].any(dim=(1, 2)))
    assert inside.sum() > 50
    assert share[inside].min() > 0.08


def test_cutouts_occur_with_the_given_probability():
    pixels = torch.zeros(1000, 1, 8, 12, dtype=torch.uint8)
    config = AugmentationConfig(cutout=0.25, cutout_area=(1.0, 1.0))
    cut = augment(pixels, 256, config, key(1000)).flatten(1).any(dim=1).double()
    assert cut.mean() == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 1000))


# Invalid values


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
        ({"cutout_area": (0.5, 0.2)}, r"cutout_area is \(0.5, 0.2\), expected the smallest and the largest fraction"),
        ({"cutout_area": (0.5,)}, r"cutout_area is \(0.5,\), expected"),
    ],
)
def test_a_value_out_of_range_is_named(changes, message):
    with pytest.raises(InputError, match=message):
        AugmentationConfig(**changes)


def test_a_shift_by_the_size_of_the_image_is_rejected():
    with pytest.raises(InputError, match="crop is 8, expected less than the sides of an image of 8x12"):
        augment(noise(), 256, AugmentationConfig(crop=8), key())


# The share of augmented images


def test_the_given_share_of_the_images_is_augmented():
    pixels, config = noise(count=1000), AugmentationConfig(noise=0.5, share=0.3)
    found = augment(pixels, 256, config, key(1000))
    whole = augment(pixels, 256, replace(config, share=1.0), key(1000))
    chosen = is_augmented(config, key(1000))
    assert 0.25 < chosen.double().mean() < 0.35
    assert torch.equal(found[chosen], whole[chosen])
    assert torch.equal(found[~chosen], pixels[~chosen])


def test_no_image_is_augmented_by_default_or_with_a_share_of_zero():
    assert not is_augmented(AugmentationConfig(), key()).any()
    assert augment(pixels := noise(), 256, replace(ALL, share=0.0), key()) is pixels
