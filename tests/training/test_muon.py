import pytest
import torch
from networks import normal, randomised, tiny_model

from pixelbayes.models.layers import Conv2d, DownShiftedTransposedConv2d
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.training.muon import Muon, as_matrix, matrix_groups, orthogonalised


@pytest.mark.parametrize("shape", [(3, 20, 20), (2, 16, 90), (2, 90, 16)])
def test_orthogonalising_keeps_the_singular_vectors_and_brings_the_values_close_to_1(shape):
    matrices = normal(*shape)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    assert values.max() / values.min() > 1.5
    found = left.mT @ orthogonalised(matrices) @ right.mT
    diagonal = torch.diagonal(found, dim1=1, dim2=2)
    torch.testing.assert_close(found, torch.diag_embed(diagonal))
    assert (diagonal[values > 0.05 * values.max()] - 1).abs().max() < 0.35


@pytest.mark.parametrize("kind", [Conv2d, DownShiftedTransposedConv2d])
def test_two_steps_of_muon_are_those_worked_by_hand(kind):
    layer = kind(18, 40, (2, 3)).double()
    start, gradients = layer.v.detach().clone(), [normal(*layer.v.shape), 3 * normal(*layer.v.shape, seed=4)]
    groups = matrix_groups(layer, lr=0.1, weight_decay=0.2)
    optimizer = Muon(groups, lr=1e-3)
    for gradient in gradients:
        layer.v.grad = gradient.clone()
        optimizer.step()
    axis = 1 - kind.input_axis
    first, second = (as_matrix(gradient, axis) for gradient in gradients)
    assert first.shape == (40, 108)
    directions = [first, 0.05 * second + 0.95 * (0.05 * second + 0.95 * 0.05 * first)]  # a factor does not matter
    expected = as_matrix(start, axis)
    for direction in directions:
        expected = 0.98 * expected - 0.1 * orthogonalised(direction[None])[0]  # there are more columns than rows
    torch.testing.assert_close(as_matrix(layer.v.detach(), axis), expected)


def test_a_tall_matrix_is_updated_by_the_root_of_its_aspect_ratio():
    layer = Conv2d(16, 64).double()
    start, layer.v.grad = layer.v.detach().clone(), normal(64, 16, 1, 1)
    Muon(matrix_groups(layer, lr=0.1), lr=1e-3).step()
    update = orthogonalised(layer.v.grad.flatten(1)[None])[0]
    torch.testing.assert_close(layer.v.detach().flatten(1), start.flatten(1) - 0.1 * 2 * update)


def test_all_other_parameters_are_updated_by_adamw():
    network, reference = (randomised(tiny_model()) for _ in range(2))  # 4 filters: no matrix is large enough
    ours = Muon(matrix_groups(network), lr=0.01, weight_decay=0.1)
    adamw = torch.optim.AdamW(reference.parameters(), lr=0.01, weight_decay=0.1)
    for step in range(3):
        for each in (network, reference):
            for number, weight in enumerate(each.parameters()):
                weight.grad = normal(*weight.shape, seed=100 * step + number)
        ours.step()
        adamw.step()
    for weight, expected in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(weight, expected)


def test_muon_takes_the_convolutions_that_are_large_enough_except_the_last_layer():
    network = tiny_model("class-head:hidden=16", num_filters=16, evidence_channels=16, num_mixtures=10)
    *matrices, others = matrix_groups(network, network.last_layers)
    chosen = {id(weight) for group in matrices for weight in group["params"]}
    rest = {id(weight) for weight in others["params"]}
    assert not chosen & rest
    assert chosen | rest == {id(weight) for weight in network.parameters()}
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, Conv2d)}
    # the kernels 1 x 3 and 2 x 1 of four input channels have 12 and 8 columns
    assert {name for name, layer in layers.items() if id(layer.v) not in chosen} == {
        "to_params",
        "stem_above",
        "stem_left",
    }
    assert {group["output_axis"] for group in matrices} == {0, 1}


def test_muon_takes_the_convolutions_of_a_dedicated_classifier():
    shape = tiny_model().config.image_shape
    network = ResNet(ResNetConfig(widths=(16, 32), blocks=(1, 1), num_classes=3, image_shape=shape))
    matrices, _ = matrix_groups(network)
    convolutions = [layer.weight for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert {id(weight) for weight in matrices["params"]} == {id(weight) for weight in convolutions}
