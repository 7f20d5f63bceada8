import pytest
import torch

from pixelbayes.inference import Prefix

PIXELS = torch.zeros(1, 3, 2, 3, dtype=torch.uint8)


@pytest.mark.parametrize("num_known", range(7))
def test_a_mask_of_the_first_pixels_becomes_their_number(num_known):
    mask = (torch.arange(6) < num_known).view(2, 3)
    assert Prefix.of_mask(PIXELS, mask).num_known == num_known


def test_any_other_mask_is_rejected_with_the_reason():
    mask = torch.tensor([[True, False, False], [True, False, False]])
    message = r"after the unknown pixel \(row 0, column 1\); only the first pixels in raster order can be known"
    with pytest.raises(ValueError, match=message):
        Prefix.of_mask(PIXELS, mask)


@pytest.mark.parametrize("num_known", [-1, 7])
def test_a_number_of_known_pixels_out_of_range_is_rejected(num_known):
    with pytest.raises(ValueError, match=f"num_known is {num_known}, expected 0 to 6"):
        Prefix(PIXELS, num_known)
