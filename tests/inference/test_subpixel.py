import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.images.pixels import to_x
from pixelbayes.inference.folding import SubpixelConv2d, folded, with_subpixels
from pixelbayes.models.layers import DownRightShiftedTransposedConv2d, DownShiftedTransposedConv2d, TransposedConv2d

KINDS = [(DownShiftedTransposedConv2d, (2, 3)), (DownRightShiftedTransposedConv2d, (2, 2))]


@pytest.mark.parametrize("weight_norm", [True, False])
@pytest.mark.parametrize(("kind", "kernel"), KINDS)
def test_channels_laid_side_by_side_are_the_transposed_convolution(kind, kernel, weight_norm):
    torch.manual_seed(0)
    layer = randomised(kind(3, 5, kernel, stride=2, weight_norm=weight_norm).double())
    h = torch.randn(2, 3, 4, 7, dtype=torch.float64)
    torch.testing.assert_close(SubpixelConv2d(layer)(h), layer(h), rtol=1e-12, atol=1e-12)


def test_a_network_computes_the_same_without_transposed_convolutions():
    model = randomised(tiny_model())
    x, label = to_x(random_images(2, model.config), model.config.levels, torch.float64), torch.tensor([0, 2])
    other = with_subpixels(folded(model))
    assert not [layer for layer in other.modules() if isinstance(layer, TransposedConv2d)]
    torch.testing.assert_close(other(x, label), model(x, label), rtol=1e-12, atol=1e-12)
