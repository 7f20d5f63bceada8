import copy

import pytest
import torch
from networks import random_x, randomised, tiny_model

from pixelbayes.models.conditioning import ConditioningPoint
from pixelbayes.models.layers import (
    Conv2d,
    DownRightShiftedConv2d,
    DownRightShiftedTransposedConv2d,
    DownShiftedConv2d,
    DownShiftedTransposedConv2d,
    GatedResNet,
    concat_elu,
    down_shift,
    initialise_from_data,
    right_shift,
)
from pixelbayes.utils.randomness import Key

KINDS = [
    Conv2d,
    DownShiftedConv2d,
    DownRightShiftedConv2d,
    DownShiftedTransposedConv2d,
    DownRightShiftedTransposedConv2d,
]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dependence(function, height, width):
    """The input positions on which each output position depends, bool (h, w, H, W), from impulse responses."""
    impulses = torch.eye(height * width, dtype=torch.float64).view(-1, 1, height, width)
    with torch.no_grad():
        response = (function(impulses) - function(torch.zeros_like(impulses))).abs().sum(dim=1) > 0  # (H W, h, w)
    return response.permute(1, 2, 0).unflatten(2, (height, width))


def kernel_field(offsets, height, width):
    """The same for a layer whose output (i, j) depends on the inputs (i + row, j + column)."""
    field = torch.zeros(height, width, height, width, dtype=torch.bool)
    for i in range(height):
        for j in range(width):
            for row, column in offsets:
                if 0 <= i + row < height and 0 <= j + column < width:
                    field[i, j, i + row, j + column] = True
    return field


def test_down_shift_moves_rows_down_and_right_shift_columns_right():
    assert torch.equal(dependence(down_shift, 4, 5), kernel_field([(-1, 0)], 4, 5))
    assert torch.equal(dependence(right_shift, 4, 5), kernel_field([(0, -1)], 4, 5))


@pytest.mark.parametrize(
    ("kind", "kernel_size", "offsets"),
    [
        (DownShiftedConv2d, (2, 3), [(r, c) for r in (-1, 0) for c in (-1, 0, 1)]),
        (DownShiftedConv2d, (1, 3), [(0, c) for c in (-1, 0, 1)]),
        (DownShiftedConv2d, (3, 5), [(r, c) for r in (-2, -1, 0) for c in (-2, -1, 0, 1, 2)]),
        (DownRightShiftedConv2d, (2, 2), [(r, c) for r in (-1, 0) for c in (-1, 0)]),
        (DownRightShiftedConv2d, (2, 1), [(-1, 0), (0, 0)]),
        (DownRightShiftedConv2d, (1, 3), [(0, -2), (0, -1), (0, 0)]),
    ],
)
def test_a_shifted_convolution_depends_on_its_whole_kernel_and_no_other_position(kind, kernel_size, offsets):
    conv = randomised(kind(1, 3, kernel_size).double())
    assert torch.equal(dependence(conv, 5, 7), kernel_field(offsets, 5, 7))


@pytest.mark.parametrize("kind", [DownShiftedConv2d, DownRightShiftedConv2d])
def test_a_strided_convolution_computes_every_second_output(kind):
    conv = randomised(kind(2, 3, (2, 3), stride=2).double())
    halved, h = conv(normal(2, 2, 6, 8)), normal(2, 2, 6, 8)
    conv.stride = 1
    torch.testing.assert_close(halved, conv(h)[:, :, ::2, ::2])


@pytest.mark.parametrize(
    ("kind", "kernel_size", "columns"),
    [(DownShiftedTransposedConv2d, (2, 3), (-1, 0, 1)), (DownRightShiftedTransposedConv2d, (2, 2), (0, 1))],
)
def test_a_transposed_convolution_doubles_the_size_and_reaches_downwards_only(kind, kernel_size, columns):
    height, width = 3, 5
    conv = randomised(kind(1, 3, kernel_size, stride=2).double())
    expected = torch.zeros(2 * height, 2 * width, height, width, dtype=torch.bool)
    for i in range(height):
        for j in range(width):
            for row in (0, 1):
                for column in columns:
                    if 0 <= 2 * j + column < 2 * width:
                        expected[2 * i + row, 2 * j + column, i, j] = True
    assert torch.equal(dependence(conv, height, width), expected)


def test_concat_elu_is_the_elu_of_both_signs():
    h = normal(2, 3, 4, 5)
    twice = concat_elu(h)
    torch.testing.assert_close(twice, torch.cat([torch.where(s > 0, s, s.exp() - 1) for s in (h, -h)], dim=1))


# Weight normalisation and initialisation


@pytest.mark.parametrize("kind", KINDS)
def test_the_norm_of_each_output_channels_weight_is_its_gain(kind):
    conv = randomised(kind(3, 5, (2, 3), stride=2).double())
    per_output = conv.weight.movedim(conv.weight.shape.index(5), 0)  # axis 1 of a transposed convolution
    torch.testing.assert_close(per_output.flatten(1).norm(dim=1), conv.gain.abs())


@pytest.mark.parametrize("weight_norm", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_that_is_set_is_the_effective_weight(kind, weight_norm):
    conv = kind(3, 5, (2, 3), weight_norm=weight_norm).double()
    weight = normal(*conv.v.shape)
    conv.set_weight(weight)
    torch.testing.assert_close(conv.weight, weight)


def test_with_and_without_weight_norm_training_starts_from_the_same_function():
    with_norm, without = tiny_model(), tiny_model(weight_norm=False)
    x, label = random_x(with_norm, 2), torch.tensor([0, 1])
    torch.testing.assert_close(with_norm(x, label), without(x, label), rtol=1e-5, atol=1e-6)  # initialised in float32
    initialise_from_data(with_norm, x, label)
    initialise_from_data(without, x, label)
    torch.testing.assert_close(with_norm(x, label), without(x, label), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weight_norm", [True, False])
@pytest.mark.parametrize("fusion", ["film", "input-concat+adaln+output-concat"])
def test_initialisation_from_data_gives_every_convolution_mean_0_and_its_deviation(fusion, weight_norm):
    model = randomised(tiny_model(fusion, weight_norm=weight_norm))
    x, label = random_x(model, 6), torch.arange(6) % 3
    initialise_from_data(model, x, label)

    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, Conv2d)}
    outputs = {}
    for name, conv in convolutions.items():
        conv.register_forward_hook(lambda _, __, output, name=name: outputs.update({name: output}))
    model(x, label)
    assert len(outputs) == len(convolutions)
    for name, output in outputs.items():
        deviation, mean = torch.std_mean(output, dim=(0, 2, 3), correction=0)
        scale = torch.full_like(deviation, 0.1 if name.endswith("conv_out") else 1.0)
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-9)
        torch.testing.assert_close(deviation, scale, rtol=5e-2, atol=0)  # 1e-5 is added to the old one


def test_initialisation_leaves_no_hook():
    model = tiny_model()
    x = random_x(model, 6)
    initialise_from_data(model, x)
    before = copy.deepcopy(model.state_dict())
    model(x)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_a_channel_that_is_constant_on_the_first_batch_stays_finite():
    conv = Conv2d(1, 3).double()
    initialise_from_data(conv, torch.ones(2, 1, 4, 5, dtype=torch.float64))
    assert all(weight.isfinite().all() for weight in conv.parameters())
    torch.testing.assert_close(conv(torch.ones(2, 1, 4, 5, dtype=torch.float64)).abs().max().item(), 0.0)


# The gated block


def block(dropout=0.5, shortcut_channels=0):
    torch.manual_seed(0)
    return randomised(
        GatedResNet(DownShiftedConv2d, (2, 3), 3, dropout=dropout, shortcut_channels=shortcut_channels).double()
    )


def key(batch):
    return Key.of(0, "dropout", 0, torch.arange(batch))


def inner_activations(net, h, key):
    """The input of the second convolution of a block."""
    inputs = []
    handle = net.conv_out.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    net(h, key=key)
    handle.remove()
    return inputs[0]


def test_a_block_adds_values_times_the_sigmoid_of_gates_to_its_input():
    net, h, shortcut = block(shortcut_channels=2), normal(2, 3, 4, 5), normal(2, 2, 4, 5, seed=1)
    inner = net.conv_in(concat_elu(h)) + net.conv_shortcut(concat_elu(shortcut))
    values, gates = net.conv_out(concat_elu(inner)).split(3, dim=1)
    torch.testing.assert_close(net(h, shortcut), h + values / (1 + torch.exp(-gates)))


def test_a_block_is_conditioned_at_each_point_of_its_equation():
    net, h, shortcut = block(shortcut_channels=2), normal(2, 3, 4, 5), normal(2, 2, 4, 5, seed=1)
    before, branch, at, gate, scale, after = normal(6, 1)
    change = {
        ConditioningPoint.BEFORE_BLOCK: lambda h: h + before,
        ConditioningPoint.BEFORE_BRANCH: lambda h: h * branch,
        ConditioningPoint.SHORTCUT: lambda h: h - at,
        ConditioningPoint.BEFORE_GATE: lambda h: h + gate,
        ConditioningPoint.RESIDUAL: lambda h: h * scale,
        ConditioningPoint.AFTER_BLOCK: lambda h: h + after,
    }
    moved = h + before
    inner = net.conv_in(concat_elu(moved * branch)) + net.conv_shortcut(concat_elu(shortcut - at))
    values, gates = (net.conv_out(concat_elu(inner)) + gate).split(3, dim=1)
    conditioned = net(h, shortcut, lambda point, h: change[point](h))
    torch.testing.assert_close(conditioned, moved + scale * values * gates.sigmoid() + after)


def test_without_a_key_or_with_probability_0_nothing_is_dropped():
    h = normal(2, 3, 4, 5)
    plain = block()(h)
    assert torch.equal(plain, block()(h))
    assert torch.equal(plain, block(dropout=0.0)(h, key=key(2)))
    assert not torch.equal(plain, block()(h, key=key(2)))


@pytest.mark.parametrize("dropout", [1e-6, 0.25, 0.5])
def test_dropout_zeroes_single_activations_and_scales_the_others_so_that_the_mean_stays(dropout):
    net, h = block(dropout), normal(20, 3, 16, 20)
    without, dropped = inner_activations(net, h, None), inner_activations(net, h, key(20))
    remain = dropped != 0
    torch.testing.assert_close(dropped, torch.where(remain, without / (1 - dropout), 0.0))
    deviation = (dropout * (1 - dropout) / remain.numel()) ** 0.5
    assert abs(remain.double().mean() - (1 - dropout)) < 4 * deviation + 2**-17
    by_channel = remain.double().mean(dim=(2, 3))
    assert by_channel.min() > 0.6 * (1 - dropout)  # single elements, not whole channels


def test_the_dropout_of_an_image_does_not_depend_on_its_batch():
    net, h = block(), normal(5, 3, 4, 6)
    index = torch.tensor([4, 9, 7, 0, 1])
    together = net(h, key=Key.of(0, "dropout", 3, index))
    single = net(h[2:3], key=Key.of(0, "dropout", 3, index[2:3]))
    torch.testing.assert_close(together[2:3], single)


def test_every_convolution_of_a_network_is_shifted_or_1_x_1():
    unshifted = [m for m in tiny_model("cross-attention").modules() if type(m) in (Conv2d, torch.nn.Conv2d)]
    assert {conv.kernel_size for conv in unshifted} == {(1, 1)}
