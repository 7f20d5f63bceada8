import pytest
import torch

from pixelbayes.images.pixels import check_x, requantise, to_level, to_pixels, to_x
from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.errors import InputError


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_is_preserved_by_conversion_to_x_and_back(dtype):
    for levels in range(2, 257):
        pixels = torch.arange(levels).to(torch.uint8)
        assert torch.equal(to_pixels(to_x(pixels, levels, dtype), levels), pixels)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_levels_are_evenly_spaced_from_minus_one_to_one(levels):
    x = to_x(torch.arange(levels), levels, torch.float64)
    torch.testing.assert_close(x, torch.linspace(-1, 1, levels, dtype=torch.float64), rtol=0, atol=1e-15)


def test_a_value_becomes_the_nearest_level_and_beyond_the_range_an_end_level():
    x = torch.tensor([-9.0, -1.0, -0.51, -0.49, 0.2, 0.8, 1.0, 9.0])  # the five levels are -1, -0.5, 0, 0.5, 1
    assert to_level(x, levels=5).tolist() == [0, 0, 1, 1, 2, 4, 4, 4]


def test_requantising_to_more_levels_and_back_changes_nothing():
    pixels = torch.arange(17).to(torch.uint8)
    finer = requantise(pixels, 17, 256)
    assert finer[0] == 0
    assert finer[-1] == 255
    assert torch.equal(requantise(finer, 256, 17), pixels)


def test_requantising_picks_the_nearest_level():
    pixels = torch.arange(256).to(torch.uint8)
    nearest = (torch.arange(256).double()[:, None] / 255 - torch.arange(17).double() / 16).abs().argmin(dim=1)
    assert torch.equal(requantise(pixels, 256, 17).long(), nearest)


# Images that a network takes


@pytest.mark.parametrize("levels", [2, 5, 17, 256])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_levels_are_accepted_in_every_precision_and_however_they_were_computed(levels, dtype):
    shape = ImageShape(height=2, width=levels, channels=1, levels=levels)
    pixels = torch.arange(levels, dtype=torch.uint8).expand(3, 1, 2, -1)
    check_x(to_x(pixels, levels, dtype), shape)
    for x in ((pixels / (levels - 1) - 0.5) / 0.5, pixels / ((levels - 1) / 2) - 1):
        check_x(x, shape)
    check_x(torch.empty(0, 1, 2, levels, dtype=dtype), shape)


def test_levels_that_are_floats_are_refused():
    with pytest.raises(InputError, match=r"pixels are torch.float32, expected integer levels 0 .. 16"):
        to_x(torch.zeros(2), 17)
