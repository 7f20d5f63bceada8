from itertools import pairwise

import pytest
import torch
from networks import every_image, randomised, tiny_model

from pixelbayes.inference import SamplingConfig, sample_reference, sampling_noise
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.utils.errors import InputError


def binary_model(fusion="film", **changes):
    """A network over images of two levels, few enough to enumerate."""
    return randomised(tiny_model(fusion, **{"channels": 1, "levels": 2, "image_size": (1, 2)} | changes))


def enumerated(model, label):
    """The probability of every image, (N,), in the order of `every_image`."""
    x = every_image(model.config)
    with torch.no_grad():
        return model.log_prob(x, torch.full((len(x),), label)).exp()


def counts(pixels):
    """How often each binary image was drawn, (2^dims,), in the order of `every_image`."""
    bits = pixels.flatten(1).long()
    codes = (bits * 2 ** torch.arange(bits.shape[1] - 1, -1, -1)).sum(dim=1)
    return torch.bincount(codes, minlength=2 ** bits.shape[1])


def even_noise(steps):
    """All pairs of evenly spaced numbers, as noise of 1 x 2 images."""
    even = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    return torch.cartesian_prod(even, even).view(-1, 1, 1, 2)


@pytest.mark.parametrize("fusion", ["film", "one-hot-map+after-block"])
def test_evenly_spaced_noise_draws_each_image_as_often_as_it_is_probable(fusion):
    model, noise = binary_model(fusion), even_noise(60)
    drawn = counts(sample_reference(model, torch.full((len(noise),), 1), noise)) / len(noise)
    assert (drawn - enumerated(model, 1)).abs().max() <= 2 / 60  # one step per pixel


@pytest.mark.parametrize(
    ("settings", "label", "limit"),  # the 99.9% quantile of chi-square with 15 and 63 degrees of freedom
    [({"image_size": (2, 2)}, 0, 37.7), ({"channels": 3}, 2, 103.5)],
)
def test_samples_are_as_frequent_as_their_images_are_probable(settings, label, limit):
    model, count = binary_model(**settings), 6000
    noise = sampling_noise(model, seed=0, index=torch.arange(count))
    drawn = counts(sample_reference(model, torch.full((count,), label), noise))
    expected = enumerated(model, label) * count
    assert ((drawn - expected).square() / expected).sum() < limit


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_temperature_sharpens_each_pixel_given_the_pixels_before_it(temperature):
    model, noise = binary_model(), even_noise(60)
    config = SamplingConfig(temperature=temperature)
    drawn = counts(sample_reference(model, torch.zeros(len(noise)).long(), noise, config)) / len(noise)
    probability = enumerated(model, 0).view(2, 2)  # first pixel, second
    first, second = probability.sum(dim=1), probability / probability.sum(dim=1, keepdim=True)
    first, second = first ** (1 / temperature), second ** (1 / temperature)
    expected = (first / first.sum())[:, None] * second / second.sum(dim=1, keepdim=True)
    assert (drawn.view(2, 2) - expected).abs().max() <= 2 / 60


@pytest.mark.parametrize(("fusion", "guidance"), [("film", 0.0), ("cross-attention", 0.0), ("gate-add", 2.0)])
def test_a_sample_does_not_depend_on_its_batch(fusion, guidance):
    model, config = randomised(tiny_model(fusion, image_size=(3, 5), levels=256)), SamplingConfig(guidance=guidance)
    index, label = torch.tensor([3, 0, 7, 8, 1]), torch.tensor([0, 1, 2, NO_LABEL, 0])
    together = sample_reference(model, label, sampling_noise(model, 5, index), config)
    for i in (2, 3):
        one = slice(i, i + 1)
        single = sample_reference(model, label[one], sampling_noise(model, 5, index[one]), config)
        assert torch.equal(together[one], single)


def test_noise_has_the_precision_of_the_network_and_the_same_leading_bits():
    model = tiny_model()
    fine = sampling_noise(model, 0, torch.arange(2))
    coarse = sampling_noise(model.float(), 0, torch.arange(2))
    assert fine.shape == (2, 3, 8, 12)
    assert (fine.dtype, coarse.dtype) == (torch.float64, torch.float32)
    assert torch.equal((fine * 2**24).floor() / 2**24, coarse.double())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0, expected a number above 0"),
        ({"temperature": -1.0}, "temperature is -1.0, expected a number above 0"),
        ({"temperature": float("nan")}, "temperature is nan, expected a number above 0"),
        ({"count": 0}, "count is 0, expected at least 1"),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
    ],
)
def test_a_sampling_config_out_of_bounds_is_rejected(settings, message):
    with pytest.raises(InputError, match=message):
        SamplingConfig(**settings)


# Guidance


def conditionals(model, label):
    """p of each colour value given those drawn before it, in the order of drawing: a list of (L^i, L).

    Computed only from the probabilities of whole images, summed over the values not yet drawn.
    """
    shape = model.config.image_shape
    joint = enumerated(model, label).view([shape.levels] * shape.dims)
    pixels = shape.height * shape.width
    order = [colour * pixels + pixel for pixel in range(pixels) for colour in range(shape.channels)]
    joint = joint.permute(order).flatten()
    totals = [joint.view(shape.levels**i, -1).sum(dim=1) for i in range(shape.dims + 1)]
    return [after.view(-1, shape.levels) / before[:, None] for before, after in pairwise(totals)]


def guided_conditionals(model, label, guidance, temperature):
    both = zip(conditionals(model, label), conditionals(model, NO_LABEL), strict=True)
    powers = [(own ** (1 + guidance) * null**-guidance) ** (1 / temperature) for own, null in both]
    return [power / power.sum(dim=1, keepdim=True) for power in powers]


def drawn_by(conditionals, noise):
    """Levels, (B, dims) in the order of drawing: each the lowest whose cumulative probability exceeds the noise."""
    code, levels = torch.zeros(len(noise)).long(), []
    for conditional, u in zip(conditionals, noise.unbind(dim=1), strict=True):
        level = (conditional[code].cumsum(dim=1) <= u[:, None]).sum(dim=1)
        levels.append(level)
        code = code * conditional.shape[1] + level
    return torch.stack(levels, dim=1)


def in_order_of_drawing(images):
    """(B, C, H, W) -> (B, dims), pixel by pixel, and colour by colour within a pixel."""
    return images.flatten(2).transpose(1, 2).flatten(1)


COLOUR = {"channels": 3, "levels": 3, "image_size": (1, 2)}


@pytest.mark.parametrize(
    ("settings", "guidance", "temperature"),
    [
        (COLOUR, 0.0, 1.0),
        (COLOUR, 0.5, 1.0),
        (COLOUR, -1.0, 1.0),
        (COLOUR, 2.0, 0.5),
        ({"channels": 3, "levels": 7, "image_size": (1, 1)}, 3.0, 1.0),
        ({"channels": 1, "levels": 3, "image_size": (2, 2)}, -0.5, 1.0),
        ({"channels": 3, "levels": 3, "image_size": (2, 1), "num_mixtures": 5}, 3.0, 1.0),
        (COLOUR | {"likelihood": "categorical"}, 3.0, 1.0),
    ],
)
def test_a_guided_sample_is_the_one_that_the_enumeration_of_all_images_gives_for_its_noise(
    settings, guidance, temperature
):
    model = binary_model("gate-add", **settings)
    noise = sampling_noise(model, seed=1, index=torch.arange(300))
    label = torch.arange(300) % 4 - 1  # NO_LABEL and the three classes
    config = SamplingConfig(guidance=guidance, temperature=temperature)
    images = sample_reference(model, label, noise, config)
    for one in label.unique():
        guided = guided_conditionals(model, int(one), guidance, temperature)
        expected = drawn_by(guided, in_order_of_drawing(noise[label == one]))
        assert torch.equal(in_order_of_drawing(images[label == one]).long(), expected)


@pytest.mark.parametrize("fusion", ["film", "one-hot-map+after-block"])
def test_guidance_0_draws_the_same_images_as_none_and_minus_1_those_without_a_label(fusion):
    model = randomised(tiny_model(fusion, image_size=(2, 3), levels=256)).float()
    noise, label = sampling_noise(model, 0, torch.arange(6)), torch.arange(6) % 3
    without = sample_reference(model, label, noise)
    assert torch.equal(sample_reference(model, label, noise, SamplingConfig(guidance=0.0)), without)
    unconditional = sample_reference(model, None, noise)
    assert torch.equal(sample_reference(model, label, noise, SamplingConfig(guidance=-1.0)), unconditional)
    assert not torch.equal(sample_reference(model, label, noise, SamplingConfig(guidance=1.0)), without)


def test_the_network_runs_once_per_pixel_and_with_guidance_twice():
    model = binary_model(image_size=(2, 3))
    noise, calls = sampling_noise(model, 0, torch.arange(2)), []
    model.register_forward_hook(lambda *_: calls.append(1))
    for guidance, runs in ((0.0, 1), (1.0, 2)):
        calls.clear()
        sample_reference(model, torch.tensor([0, 1]), noise, SamplingConfig(guidance=guidance))
        assert len(calls) == runs * 2 * 3
