import pytest
import torch
from networks import random_x, randomised, tiny_model

from pixelbayes.inference.folding import SubpixelConv2d, folded, with_subpixels
from pixelbayes.models.layers import DownRightShiftedTransposedConv2d, DownShiftedTransposedConv2d, TransposedConv2d


def test_a_folded_network_computes_the_same_and_the_original_is_unchanged():
    model = randomised(tiny_model())
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    x, label = random_x(model, 2), torch.tensor([0, 2])
    network = folded(model)
    torch.testing.assert_close(network(x, label), model(x, label), rtol=1e-12, atol=1e-12)
    assert not [name for name, _ in network.named_parameters() if name.endswith("gain")]
    assert not any(weight.requires_grad for weight in network.parameters())
    assert not network.training
    assert all(weight.requires_grad for weight in model.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("weight_norm", [True, False])
@pytest.mark.parametrize(
    ("kind", "kernel"), [(DownShiftedTransposedConv2d, (2, 3)), (DownRightShiftedTransposedConv2d, (2, 2))]
)
def test_a_subpixel_convolution_computes_the_transposed_convolution(kind, kernel, weight_norm):
    torch.manual_seed(0)
    layer = randomised(kind(3, 5, kernel, stride=2, weight_norm=weight_norm).double())
    h = torch.randn(2, 3, 4, 7, dtype=torch.float64)
    torch.testing.assert_close(SubpixelConv2d(layer)(h), layer(h), rtol=1e-12, atol=1e-12)


def test_a_network_computes_the_same_without_transposed_convolutions():
    model = randomised(tiny_model())
    x, label = random_x(model, 2), torch.tensor([0, 2])
    other = with_subpixels(folded(model))
    assert not [layer for layer in other.modules() if isinstance(layer, TransposedConv2d)]
    torch.testing.assert_close(other(x, label), model(x, label), rtol=1e-12, atol=1e-12)
