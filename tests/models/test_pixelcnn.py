import dataclasses
import itertools

import pytest
import torch
from networks import (
    EVERY_FUSION,
    WHOLE_IMAGE,
    dependence,
    every_image,
    names_of,
    random_images,
    randomised,
    receptive_fields,
    tiny_model,
)

from pixelbayes.images.pixels import to_x
from pixelbayes.models.fusion import FUSIONS
from pixelbayes.models.likelihood import Categorical
from pixelbayes.models.pixelcnn import PixelCNN, PixelCNNConfig, fold
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import Key

SIZES = [(7, 10), (8, 12)]  # 7 x 10 is padded to whole quarters


def raster_past(height, width):
    """Which pixels come before each, bool (H, W, H, W)."""
    return torch.ones(height * width, height * width).tril(-1).bool().view(height, width, height, width)


# Causality


@pytest.mark.parametrize(
    ("fusion", "size", "num_blocks"),
    [(fusion, (7, 10), 1) for fusion in EVERY_FUSION] + [(fusion, (8, 12), 2) for fusion in FUSIONS],
)
def test_a_pixel_depends_on_all_of_its_past_and_nothing_else(fusion, size, num_blocks):
    model = randomised(tiny_model(fusion, image_size=size, num_blocks=num_blocks))
    assert torch.equal(dependence(model, torch.tensor(1)), receptive_fields(num_blocks, *size))


@pytest.mark.parametrize("num_blocks", [1, 2, 3])
@pytest.mark.parametrize("size", [*SIZES, (13, 17)])
def test_the_field_lies_in_the_past_and_has_no_gap(num_blocks, size):
    fields = receptive_fields(num_blocks, *size)
    past = raster_past(*size)
    assert not (fields & ~past).any()
    for row, column in itertools.product(*map(range, size)):
        field = fields[row, column]
        assert row == 0 or field[row - 1, column]
        assert column == 0 or field[row, column - 1]
        edges = torch.nn.functional.pad(field.int(), (1, 1)).diff(dim=1)
        assert (edges == 1).sum(dim=1).max() <= 1  # an interval of each row, with no blind spot inside


@pytest.mark.parametrize(("num_blocks", "size"), [(2, (7, 10)), (3, (8, 12))])
def test_enough_blocks_see_the_whole_past(num_blocks, size):
    assert torch.equal(receptive_fields(num_blocks, *size), raster_past(*size))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_changed_pixel_changes_the_parameters_of_those_that_see_it_alone(fusion):
    model = randomised(tiny_model(fusion, image_size=(7, 10)))
    x, label = to_x(random_images(1, model.config), 5, torch.float64), torch.tensor([2])
    changed = x.clone()
    changed[0, :, 3, 4] *= -0.5
    changed[0, :, 3, 4] += 0.1
    with torch.no_grad():
        moved = (model(x, label) != model(changed, label)).any(dim=1)[0]  # (H, W)
    assert torch.equal(moved, receptive_fields(1, 7, 10)[:, :, 3, 4])


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_no_image_depends_on_another_of_its_batch(fusion):
    model = randomised(tiny_model(fusion))
    x = to_x(random_images(3, model.config), 5, torch.float64).requires_grad_()
    for key in (None, Key.of(0, "dropout", 0, torch.arange(3))):
        params = model(x, torch.tensor([0, 1, 2]), key)
        (gradient,) = torch.autograd.grad(params[1].square().sum(), x)
        assert gradient[1].any()
        assert not gradient[[0, 2]].any()


# The distribution of whole images


COUNTABLE = [
    {"channels": 3, "levels": 2, "image_size": (1, 2)},
    {"channels": 1, "levels": 2, "image_size": (2, 2)},
    {"channels": 1, "levels": 3, "image_size": (2, 3)},
    {"channels": 3, "levels": 2, "image_size": (2, 2)},
    {"channels": 3, "levels": 2, "image_size": (2, 1), "mean": (0.1, -0.4, 0.3), "std": (0.5, 2.0, 0.7)},
    {"channels": 1, "levels": 2, "image_size": (1, 3), "mean": (-0.6,), "std": (0.3,)},
    {"channels": 3, "levels": 2, "image_size": (1, 2), "likelihood": "categorical"},
    {"channels": 3, "levels": 3, "image_size": (1, 2), "likelihood": "categorical"},
    {"channels": 1, "levels": 3, "image_size": (2, 2), "likelihood": "categorical"},
]


@pytest.mark.parametrize(
    ("fusion", "settings"),
    [(fusion, settings) for fusion in EVERY_FUSION for settings in COUNTABLE[:1]]
    + [(fusion, settings) for fusion in ("film", "none", "input-add") for settings in COUNTABLE[1:]],
)
def test_all_images_have_total_probability_one_under_every_label(fusion, settings):
    model = randomised(tiny_model(fusion, **settings))
    images = every_image(model.config)
    with torch.no_grad():
        for label in (-1, 0, 2):
            total = model.log_prob(images, torch.full((len(images),), label)).exp().sum()
            torch.testing.assert_close(total.item(), 1.0, rtol=0, atol=1e-10)


def test_a_log_probability_is_the_sum_over_the_pixels_of_the_image():
    model = randomised(tiny_model())
    x, label = to_x(random_images(2, model.config), 5, torch.float64), torch.tensor([0, 1])
    pixels = model.likelihood(model(x, label)).log_prob(x)
    assert pixels.shape == (2, 8, 12)
    torch.testing.assert_close(model.log_prob(x, label), pixels.flatten(1).sum(dim=1))


@pytest.mark.parametrize(("mean", "std"), [((0.25,), (0.5,)), ((0.5, -0.25, 0.0), (0.5, 2.0, 0.25))])
def test_the_network_reads_x_less_its_mean_over_its_deviation(mean, std):
    model, plain = randomised(tiny_model(mean=mean, std=std)), randomised(tiny_model())
    x = to_x(random_images(2, model.config), 5, torch.float64)
    normalised = (x - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    torch.testing.assert_close(model(x), plain(normalised))


# The network


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 3), (7, 10), (8, 12)])
@pytest.mark.parametrize(("channels", "numbers"), [(1, 3), (3, 10)])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_pixel_of_any_size_gets_its_parameters(fusion, channels, numbers, size):
    model = tiny_model(fusion, channels=channels, image_size=size)
    x = to_x(random_images(2, model.config), 5, torch.float64)
    assert model(x, torch.tensor([0, 1])).shape == (2, 2 * numbers, *size)


@pytest.mark.parametrize("fusion", [fusion for fusion in EVERY_FUSION if not names_of(fusion) & WHOLE_IMAGE])
def test_an_image_cut_below_keeps_its_parameters(fusion):
    model = randomised(tiny_model(fusion))
    x, label = to_x(random_images(2, model.config), 5, torch.float64), torch.tensor([0, 1])
    torch.testing.assert_close(model(x[:, :, :5], label), model(x, label)[:, :, :5])


@pytest.mark.parametrize(("channels", "numbers"), [(1, 17), (3, 6 * 17)])
def test_a_softmax_over_the_levels_changes_the_networks_last_layer_alone(channels, numbers):
    settings = {"channels": channels, "levels": 17}
    model, mixture = tiny_model(likelihood="categorical", **settings), tiny_model(**settings)
    assert isinstance(model.likelihood(model(torch.zeros(2, channels, 8, 12).double())), Categorical)
    assert model.to_params.v.shape == (numbers, 4, 1, 1)
    count, others = (sum(w.numel() for w in network.parameters()) for network in (model, mixture))
    assert count - others == (numbers - 2 * (10 if channels == 3 else 3)) * (4 + 2)  # weights, gain and bias


def test_the_courses_network_has_as_many_numbers_as_its_state_dict():
    config = PixelCNNConfig(
        fusion="input-add", num_classes=4, image_size=(32, 32), num_filters=40, num_blocks=1, num_mixtures=5
    )
    numbers = sum(weight.numel() for weight in PixelCNN(config).parameters())
    assert numbers == 911_508 + 3 * 32 * 32  # ours has a row for no label too


def test_the_authors_network_has_54_million_weights():
    filters, blocks, mixtures = 160, 5, 10

    def conv(inputs, outputs, kernel):
        return inputs * outputs * kernel + 2 * outputs  # weight, gain and bias

    def pair(vertical_shortcut, horizontal_shortcut):
        convs = sum(conv(2 * filters, filters, k) + conv(2 * filters, 2 * filters, k) for k in (6, 4))
        shortcuts = [2 * width for width in (vertical_shortcut, horizontal_shortcut) if width]
        return convs + sum(conv(width, filters, 1) for width in shortcuts)

    stem = sum(conv(4, filters, kernel) for kernel in (6, 3, 2))
    resample = 4 * (conv(filters, filters, 6) + conv(filters, filters, 4))
    down, up = 3 * blocks * pair(0, filters), (3 * blocks + 2) * pair(filters, 2 * filters)
    config = PixelCNNConfig(fusion="none", num_classes=0, num_filters=filters, num_blocks=blocks, num_mixtures=mixtures)
    with torch.device("meta"):
        numbers = sum(weight.numel() for weight in PixelCNN(config).parameters())
    assert numbers == stem + down + resample + up + conv(filters, 10 * mixtures, 1)
    assert round(numbers / 1e6) == 54


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_images_dropout_does_not_depend_on_its_batch(fusion):
    model = randomised(tiny_model(fusion))
    x, label, index = to_x(random_images(3, model.config), 5, torch.float64), torch.arange(3), torch.tensor([5, 7, 2])
    together = model(x, label, Key.of(0, "dropout", 9, index))
    alone = model(x[1:2], label[1:2], Key.of(0, "dropout", 9, index[1:2]))
    torch.testing.assert_close(together[1:2], alone)
    assert not torch.allclose(together, model(x, label))


def test_every_block_drops_by_a_stream_of_its_own():
    model = tiny_model(num_blocks=2)
    key = Key.of(0, "dropout", 0, torch.arange(3))
    pairs = [pair for part in (model.down, model.up) for pairs in part for pair in pairs]
    sites = [site for pair in pairs for site in (pair.vertical_site, pair.horizontal_site)]
    states = torch.cat([fold(key, site).state for site in sites])
    assert len(sites) == len(set(sites)) == 2 * (3 * 2 + 3 * 2 + 2)
    assert len(states.unique()) == len(states)


# The config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fusion": "flim"}, "fusion is 'flim'; did you mean film?"),
        ({"num_filters": 0}, "num_filters is 0, expected at least 1"),
        ({"num_blocks": 0}, "num_blocks is 0, expected at least 1"),
        ({"num_mixtures": -1}, "num_mixtures is -1, expected at least 1"),
        ({"likelihood": "gauss"}, "likelihood is 'gauss', expected one of: logistics, categorical"),
        ({"dropout": 1.0}, r"dropout is 1.0, expected a probability of at least 0 and below 1"),
        ({"dropout": -0.1}, r"dropout is -0.1"),
        ({"dropout": float("nan")}, r"dropout is nan"),
        ({"num_classes": -1}, "num_classes is -1, expected 0 or more"),
        ({"channels": 2}, r"channels is 2, expected 1 \(grey\) or 3 \(colour\)"),
        ({"levels": 1}, "levels is 1, expected 2 to 256"),
        ({"levels": 257}, "levels is 257, expected 2 to 256"),
        ({"image_size": (32,)}, r"image_size is \(32,\), expected a height and a width"),
        ({"image_size": (0, 32)}, r"image_size is \(0, 32\), expected a height and a width"),
        ({"mean": (0.0, 1.0)}, "mean has 2 numbers, expected 1 or 3"),
        ({"std": ()}, "std has 0 numbers, expected 1 or 3"),
        ({"std": (1.0, 0.0, 1.0)}, r"std is \(1.0, 0.0, 1.0\), expected numbers above 0"),
    ],
)
def test_a_config_that_makes_no_network_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        PixelCNNConfig(**{"num_classes": 3} | change)


def test_a_misspelt_setting_is_an_error():
    with pytest.raises(TypeError, match="num_fliters"):
        PixelCNNConfig(num_classes=3, num_fliters=8)


def test_an_images_numbers_are_its_channels_times_its_pixels():
    assert dataclasses.replace(tiny_model().config, channels=3, image_size=(8, 12)).dims == 3 * 8 * 12
