import itertools

import pytest
import torch
from networks import randomised, tiny_model

from pixelbayes.fusion import FUSIONS
from pixelbayes.inference import sample, sample_class, sampling_noise
from pixelbayes.pixels import to_x


def coins(fusion="film", **changes):
    """A network over images of two levels, few enough to count."""
    return randomised(tiny_model(fusion, **{"channels": 1, "levels": 2, "image_size": (1, 2)} | changes))


def enumerated(model, label):
    """Every image of two levels with its probability, (N, C, H, W) and (N,), in the order of their binary codes."""
    values = torch.tensor(list(itertools.product(range(2), repeat=model.config.dims)))
    x = to_x(values, 2, torch.float64).view(-1, model.config.channels, *model.config.image_size)
    with torch.no_grad():
        return x, model.log_prob(x, torch.full((len(x),), label)).exp()


def counted(pixels):
    """How often each image was drawn, by its binary code, (2^dims,)."""
    bits = pixels.flatten(1).long()
    codes = (bits * 2 ** torch.arange(bits.shape[1] - 1, -1, -1)).sum(dim=1)
    return torch.bincount(codes, minlength=2 ** bits.shape[1])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_evenly_spaced_noise_draws_each_image_in_its_share(fusion):
    model, steps = coins(fusion), 60
    even = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    noise = torch.cartesian_prod(even, even).view(-1, 1, 1, 2)
    drawn = counted(sample(model, torch.full((len(noise),), 1), noise)) / len(noise)
    _, probability = enumerated(model, 1)
    assert (drawn - probability).abs().max() <= 2 / steps  # one step a pixel


@pytest.mark.parametrize(
    ("settings", "limit"),  # the 99.9% quantile of chi-square with 15 and 63 degrees of freedom
    [({"image_size": (2, 2)}, 37.7), ({"channels": 3}, 103.5)],
)
@pytest.mark.parametrize("label", [0, 2])
def test_samples_are_as_frequent_as_their_images_are_probable(settings, limit, label):
    model, count = coins(**settings), 6000
    noise = sampling_noise(model, seed=0, index=torch.arange(count))
    drawn = counted(sample(model, torch.full((count,), label), noise))
    expected = enumerated(model, label)[1] * count
    assert ((drawn - expected).square() / expected).sum() < limit


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_sharpens_each_pixel_given_those_before(temperature):
    model, steps = coins(), 60
    even = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    noise = torch.cartesian_prod(even, even).view(-1, 1, 1, 2)
    drawn = counted(sample(model, torch.zeros(len(noise)).long(), noise, temperature=temperature)) / len(noise)
    probability = enumerated(model, 0)[1].view(2, 2)  # first pixel, second
    power = [
        p ** (1 / temperature) for p in (probability.sum(dim=1), probability / probability.sum(dim=1, keepdim=True))
    ]
    expected = (power[0] / power[0].sum())[:, None] * power[1] / power[1].sum(dim=1, keepdim=True)
    assert (drawn.view(2, 2) - expected).abs().max() <= 2 / steps


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_image_does_not_depend_on_the_batch_it_is_drawn_in(fusion):
    model = randomised(tiny_model(fusion, image_size=(3, 5), levels=256))
    index, label = torch.tensor([3, 0, 7, 8, 1]), torch.tensor([0, 1, 2, -1, 0])
    together = sample(model, label, sampling_noise(model, 5, index))
    alone = sample(model, label[2:3], sampling_noise(model, 5, index[2:3]))
    assert torch.equal(together[2:3], alone)


def test_a_series_is_the_same_whatever_the_batch_size_and_goes_on_where_it_was_shorter():
    model = randomised(tiny_model(image_size=(3, 5), levels=256))
    series = sample_class(model, 1, 5, seed=3, batch_size=2)
    assert series.shape == (5, 3, 3, 5)
    assert series.dtype == torch.uint8
    assert torch.equal(series, sample_class(model, 1, 5, seed=3))
    assert torch.equal(series[:3], sample_class(model, 1, 3, seed=3))


def test_seed_step_and_class_each_draw_other_images():
    model = randomised(tiny_model("none", image_size=(3, 5), levels=256))  # the classes differ by their noise alone
    series = [sample_class(model, label, 2, seed=seed) for label in (-1, 0, 1) for seed in (0, 1)]
    assert len(torch.cat(series).flatten(1).unique(dim=0)) == 12
    noise = [sampling_noise(model, 0, torch.arange(2), step) for step in (0, 1)]
    assert not torch.equal(*noise)


def test_every_value_lies_on_the_levels():
    model = randomised(tiny_model(image_size=(3, 5), levels=3))
    assert set(sample_class(model, 0, 8).unique().tolist()) == {0, 1, 2}


def test_noise_has_the_networks_precision_and_the_same_leading_bits():
    model = tiny_model()
    fine = sampling_noise(model, 0, torch.arange(2))
    coarse = sampling_noise(model.float(), 0, torch.arange(2))
    assert fine.shape == (2, 3, 8, 12)
    assert (fine.dtype, coarse.dtype) == (torch.float64, torch.float32)
    assert torch.equal((fine * 2**24).floor() / 2**24, coarse.double())


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_above_0_is_refused(temperature):
    model = coins()
    noise = sampling_noise(model, 0, torch.arange(1))
    with pytest.raises(ValueError, match=r"temperature is .*, expected a number above 0"):
        sample(model, None, noise, temperature=temperature)
