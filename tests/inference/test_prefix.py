import pytest
import torch

from pixelbayes.inference import Given

PIXELS = torch.zeros(1, 3, 2, 3, dtype=torch.uint8)


@pytest.mark.parametrize("known", range(7))
def test_a_mask_of_the_first_pixels_says_how_many(known):
    mask = (torch.arange(6) < known).view(2, 3)
    assert Given.of_mask(PIXELS, mask).known == known


def test_any_other_mask_is_refused_with_the_reason():
    mask = torch.tensor([[True, False, False], [True, False, False]])
    with pytest.raises(ValueError, match=r"after \(row 0, column 1\), .* given those before it in raster order"):
        Given.of_mask(PIXELS, mask)


@pytest.mark.parametrize("known", [-1, 7])
def test_more_pixels_than_there_are_cannot_be_known(known):
    with pytest.raises(ValueError, match="expected 0 to 6"):
        Given(PIXELS, known)
