import itertools

import pytest
import torch
from networks import EVERY_FUSION, dependence, every_image, normal, random_x, randomised, receptive_fields, tiny_model

from pixelbayes.images.shape import ImageShape
from pixelbayes.models.layers import GatedResNet
from pixelbayes.models.likelihood import Categorical
from pixelbayes.models.pixelcnn import Architecture, PixelCNN, PixelCNNConfig, fold
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import Key


def raster_past(height, width):
    """The pixels before each pixel, bool (H, W, H, W)."""
    return torch.ones(height * width, height * width).tril(-1).bool().view(height, width, height, width)


# Causality


@pytest.mark.parametrize(
    ("fusion", "size", "num_blocks"),
    [(fusion, (7, 10), 1) for fusion in EVERY_FUSION]  # 7 x 10 is padded to multiples of 4
    + [(fusion, (8, 12), 2) for fusion in ("film", "cross-attention")],
)
def test_a_pixel_depends_on_all_of_its_past_and_nothing_else(fusion, size, num_blocks):
    model = randomised(tiny_model(fusion, image_size=size, num_blocks=num_blocks))
    fields = receptive_fields(num_blocks, *size)
    if model.config.evidence_channels:  # pooled evidence sees whatever a pixel up to this one sees
        fields = fields.flatten(0, 1).int().cummax(dim=0).values.bool().view(fields.shape)
    assert torch.equal(dependence(model, torch.tensor(1)), fields)


def test_pooled_evidence_is_four_times_the_mean_of_the_terms_up_to_each_pixel():
    model = randomised(tiny_model("film", image_size=(3, 2), evidence_channels=2))
    h = normal(2, 4, 3, 2)
    terms = torch.nn.functional.silu(model.evidence.project(torch.nn.functional.elu(h)))
    evidence = model.pool_evidence(h)
    for last in range(6):
        seen = terms.flatten(2)[:, :, : last + 1].mean(dim=2)
        torch.testing.assert_close(evidence.flatten(2)[:, :, last], 4 * seen)


def test_the_auxiliary_head_reads_the_evidence_of_the_whole_image_and_not_the_label():
    model = randomised(tiny_model("output-concat+class-head", auxiliary_head=True))
    x = random_x(model, 3)
    found = [model.outputs(x, torch.full((3,), label)).class_logits for label in (-1, 0, 2)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    pooled = []
    model.evidence.register_forward_hook(lambda _, __, evidence: pooled.append(evidence))
    model(x)
    torch.testing.assert_close(found[0], model.auxiliary_head(pooled[0][:, :, -1, -1]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fusion": "class-head", "auxiliary_head": True, "evidence_channels": 0}, "evidence_channels is 0"),
        ({"fusion": "film", "auxiliary_head": True, "evidence_channels": 8}, "fusion film shows the label"),
        ({"fusion": "class-head+film"}, "name it once, last"),
        ({"evidence_channels": -1}, "evidence_channels is -1"),
    ],
)
def test_choices_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Architecture(**settings)


@pytest.mark.parametrize(("num_blocks", "size"), [(1, (7, 10)), (1, (13, 17)), (2, (8, 12)), (3, (7, 10))])
def test_a_receptive_field_lies_in_the_past_and_has_no_blind_spot(num_blocks, size):
    fields = receptive_fields(num_blocks, *size)
    assert not (fields & ~raster_past(*size)).any()
    for row, column in itertools.product(*map(range, size)):
        field = fields[row, column]
        assert row == 0 or field[row - 1, column]
        assert column == 0 or field[row, column - 1]
        edges = torch.nn.functional.pad(field.int(), (1, 1)).diff(dim=1)
        assert (edges == 1).sum(dim=1).max() <= 1  # an interval of each row, without a gap


@pytest.mark.parametrize(("num_blocks", "size"), [(2, (7, 10)), (3, (8, 12))])
def test_with_enough_blocks_the_receptive_field_is_the_whole_past(num_blocks, size):
    assert torch.equal(receptive_fields(num_blocks, *size), raster_past(*size))


@pytest.mark.parametrize("fusion", ["film", "adaln", "cross-attention"])
def test_changing_a_pixel_changes_exactly_the_parameters_of_the_pixels_that_depend_on_it(fusion):
    model = randomised(tiny_model(fusion, image_size=(7, 10)))
    x, label = random_x(model, 1), torch.tensor([2])
    other = x.clone()
    other[0, :, 3, 4] *= -0.5
    other[0, :, 3, 4] += 0.1
    with torch.no_grad():
        changed = (model(x, label) != model(other, label)).any(dim=1)[0]  # (H, W)
    assert torch.equal(changed, receptive_fields(1, 7, 10)[:, :, 3, 4])


# The distribution of whole images


COUNTABLE = [
    {"channels": 3, "levels": 2, "image_size": (1, 2)},
    {"channels": 1, "levels": 2, "image_size": (2, 2)},
    {"channels": 1, "levels": 3, "image_size": (2, 3)},
    {"channels": 3, "levels": 2, "image_size": (2, 1), "mean": (0.1, -0.4, 0.3), "std": (0.5, 2.0, 0.7)},
    {"channels": 1, "levels": 2, "image_size": (1, 3), "mean": (-0.6,), "std": (0.3,)},
    {"channels": 3, "levels": 3, "image_size": (1, 2), "likelihood": "categorical"},
    {"channels": 1, "levels": 3, "image_size": (2, 2), "likelihood": "categorical"},
]


@pytest.mark.parametrize(
    ("fusion", "settings"),
    [(fusion, COUNTABLE[0]) for fusion in EVERY_FUSION]
    + [("film", settings) for settings in COUNTABLE[1:]]
    + [("input-add", COUNTABLE[3])],
)
def test_all_images_have_total_probability_one_under_every_label(fusion, settings):
    model = randomised(tiny_model(fusion, **settings))
    images = every_image(model.config)
    with torch.no_grad():
        for label in (-1, 0, 2):
            total = model.log_prob(images, torch.full((len(images),), label)).exp().sum()
            torch.testing.assert_close(total.item(), 1.0, rtol=0, atol=1e-10)


def test_the_log_probability_of_an_image_is_the_sum_over_its_pixels():
    model = randomised(tiny_model())
    x, label = random_x(model, 2), torch.tensor([0, 1])
    pixels = model.likelihood(model(x, label)).log_prob(x)
    assert pixels.shape == (2, 8, 12)
    torch.testing.assert_close(model.pixel_log_prob(x, label), pixels)
    torch.testing.assert_close(model.log_prob(x, label), pixels.flatten(1).sum(dim=1))


@pytest.mark.parametrize(("mean", "std"), [((0.25,), (0.5,)), ((0.5, -0.25, 0.0), (0.5, 2.0, 0.25))])
def test_the_input_is_standardised_by_the_mean_and_the_standard_deviation(mean, std):
    model, plain = randomised(tiny_model(mean=mean, std=std)), randomised(tiny_model())
    x = random_x(model, 2)
    standardised = (x - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    torch.testing.assert_close(model(x), plain(standardised))


# The network


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 3), (7, 10)])
def test_every_pixel_of_an_image_of_any_size_gets_its_parameters(size):
    for channels, numbers in ((1, 3), (3, 10)):
        for fusion in ("film", "input-add+input-concat+output-concat"):
            model = tiny_model(fusion, channels=channels, image_size=size)
            assert model(random_x(model, 2), torch.tensor([0, 1])).shape == (2, 2 * numbers, *size)


@pytest.mark.parametrize("fusion", ["film", "cross-attention", "one-hot-map+adaln+output-concat"])
def test_removing_the_lower_rows_of_an_image_does_not_change_the_parameters_above(fusion):
    model = randomised(tiny_model(fusion))
    x, label = random_x(model, 2), torch.tensor([0, 1])
    torch.testing.assert_close(model(x[:, :, :5], label), model(x, label)[:, :, :5])


def test_with_autocast_features_do_not_raise_the_precision():
    model = tiny_model("film+input-add").float()
    precisions = set()
    for block in model.modules():
        if isinstance(block, GatedResNet):
            block.register_forward_hook(lambda _, __, output: precisions.add(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        model(random_x(model, 2).float(), torch.tensor([0, 1]))
    assert precisions == {torch.bfloat16}


@pytest.mark.parametrize(("channels", "numbers"), [(1, 17), (3, 6 * 17)])
def test_a_categorical_likelihood_changes_only_the_last_layer(channels, numbers):
    settings = {"channels": channels, "levels": 17}
    model, mixture = tiny_model(likelihood="categorical", **settings), tiny_model(**settings)
    assert isinstance(model.likelihood(model(torch.zeros(2, channels, 8, 12).double())), Categorical)
    assert model.to_params.v.shape == (numbers, 4, 1, 1)
    count, others = (sum(w.numel() for w in network.parameters()) for network in (model, mixture))
    assert count - others == (numbers - 2 * (10 if channels == 3 else 3)) * (4 + 2)  # weights, gain and bias


def test_the_courses_network_has_as_many_weights_as_its_state_dict():
    shape = ImageShape(height=32, width=32)
    config = PixelCNNConfig(
        fusion="input-add", num_classes=4, image_shape=shape, num_filters=40, num_blocks=1, num_mixtures=5
    )
    count = sum(weight.numel() for weight in PixelCNN(config).parameters())
    assert count == 911_508 + 3 * 32 * 32  # ours also has a row for NO_LABEL


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
    shape = ImageShape(height=32, width=32)
    config = PixelCNNConfig(
        fusion="none",
        num_classes=0,
        image_shape=shape,
        num_filters=filters,
        num_blocks=blocks,
        num_mixtures=mixtures,
    )
    with torch.device("meta"):
        count = sum(weight.numel() for weight in PixelCNN(config).parameters())
    assert count == stem + down + resample + up + conv(filters, 10 * mixtures, 1)
    assert round(count / 1e6) == 54


# Dropout


def test_the_dropout_of_an_image_does_not_depend_on_its_batch():
    model = randomised(tiny_model())
    x, label, index = random_x(model), torch.arange(3), torch.tensor([5, 7, 2])
    together = model(x, label, Key.of(0, "dropout", 9, index))
    single = model(x[1:2], label[1:2], Key.of(0, "dropout", 9, index[1:2]))
    torch.testing.assert_close(together[1:2], single)
    assert not torch.allclose(together, model(x, label))


def test_every_block_has_a_dropout_key_of_its_own():
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
        ({"views": 3}, "views is 3, expected one of 1, 2, 4, 8"),
        ({"views": 8}, "views is 8, expected at most 4 because the images are not square"),
        ({"mean": (0.0, 1.0)}, r"mean is \(0.0, 1.0\), expected one number or 3"),
        ({"std": ()}, r"std is \(\), expected one number or 3"),
        ({"std": (1.0, 0.0, 1.0)}, r"std is \(1.0, 0.0, 1.0\), expected numbers above 0"),
    ],
)
def test_a_config_out_of_bounds_is_rejected(change, message):
    settings = {"num_classes": 3, "image_shape": ImageShape(height=32, width=48)}
    with pytest.raises(InputError, match=message):
        PixelCNNConfig(**settings | change)


def test_a_grey_network_takes_one_mean():
    grey = ImageShape(height=32, width=32, channels=1)
    with pytest.raises(InputError, match=r"mean is \(0.0, 1.0, 2.0\), expected one number$"):
        PixelCNNConfig(num_classes=3, image_shape=grey, mean=(0.0, 1.0, 2.0))


def test_a_misspelt_setting_is_an_error():
    with pytest.raises(TypeError, match="num_fliters"):
        PixelCNNConfig(num_classes=3, image_shape=ImageShape(height=32, width=32), num_fliters=8)


def test_views_and_augmentation_multiply_to_the_conditions():
    assert Architecture(views=4).num_conditions == 4
    assert Architecture(views=4, condition_on_augmentation=True).num_conditions == 8
