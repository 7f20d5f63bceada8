import pytest
import torch

from pixelbayes.features.base import in_batches


def test_batches_are_concatenated_in_order_as_float64_and_without_gradients():
    pixels = torch.arange(7, dtype=torch.uint8).view(7, 1, 1, 1)
    weight = torch.ones(1, requires_grad=True)
    sizes = []
    rows = in_batches(
        lambda batch: sizes.append(len(batch)) or batch.flatten(1) * weight, pixels, batch_size=3, device="cpu"
    )
    assert (sizes, rows.flatten().tolist()) == ([3, 3, 1], [0, 1, 2, 3, 4, 5, 6])
    assert (rows.dtype, rows.requires_grad) == (torch.float64, False)


def test_an_empty_set_of_images_is_refused():
    with pytest.raises(ValueError, match="contains no image"):
        in_batches(lambda batch: batch, torch.zeros(0, 3, 2, 2), batch_size=3, device="cpu")
