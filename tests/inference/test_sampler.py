from itertools import pairwise

import pytest
import torch
from networks import every_image, randomised, tiny_model

from pixelbayes.inference import sample, sampling_noise
from pixelbayes.models.fusion import FUSIONS, NO_LABEL


def coins(fusion="film", **changes):
    """A network over images of two levels, few enough to count."""
    return randomised(tiny_model(fusion, **{"channels": 1, "levels": 2, "image_size": (1, 2)} | changes))


def enumerated(model, label):
    """Every image with its probability, (N, C, H, W) and (N,), in the order of their codes."""
    x = every_image(model.config)
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


# Guidance


def chain(model, label):
    """p of each colour value given those before it, as they are drawn: a list of (L^i, L), pixel by pixel.

    From the probabilities of whole images alone, summed over what is not yet drawn.
    """
    config = model.config
    joint = enumerated(model, label)[1].view([config.levels] * config.dims)
    pixels = config.dims // config.channels
    drawn = [colour * pixels + pixel for pixel in range(pixels) for colour in range(config.channels)]
    joint = joint.permute(drawn).flatten()
    totals = [joint.view(config.levels**i, -1).sum(dim=1) for i in range(config.dims + 1)]
    return [after.view(-1, config.levels) / before[:, None] for before, after in pairwise(totals)]


def guided(model, label, guidance, temperature=1.0):
    """The same, of the guided chain."""
    both = zip(chain(model, label), chain(model, NO_LABEL), strict=True)
    powers = [(told ** (1 + guidance) * untold**-guidance) ** (1 / temperature) for told, untold in both]
    return [power / power.sum(dim=1, keepdim=True) for power in powers]


def drawn_by(conditionals, noise):
    """Levels, (B, dims) in the order in which they are drawn: each the lowest whose sum of probabilities exceeds u."""
    code, levels = torch.zeros(len(noise)).long(), []
    for conditional, u in zip(conditionals, noise.unbind(dim=1), strict=True):
        level = (conditional[code].cumsum(dim=1) <= u[:, None]).sum(dim=1)
        levels.append(level)
        code = code * conditional.shape[1] + level
    return torch.stack(levels, dim=1)


def as_drawn(images):
    """(B, C, H, W) -> (B, dims), pixel by pixel and in each colour by colour."""
    return images.flatten(2).transpose(1, 2).flatten(1)


GUIDED = [
    {"channels": 3, "levels": 3, "image_size": (1, 2)},
    {"channels": 3, "levels": 7, "image_size": (1, 1)},
    {"channels": 1, "levels": 3, "image_size": (2, 2)},
    {"channels": 3, "levels": 3, "image_size": (2, 1), "num_mixtures": 5},
    {"channels": 3, "levels": 3, "image_size": (1, 2), "likelihood": "categorical"},
]


@pytest.mark.parametrize("settings", GUIDED)
@pytest.mark.parametrize(
    ("guidance", "temperature"), [(0.0, 1.0), (0.5, 1.0), (3.0, 1.0), (-0.5, 1.0), (-1.0, 1.0), (2.0, 0.5)]
)
def test_a_guided_image_is_the_one_that_enumeration_of_both_networks_gives_for_its_noise(
    settings, guidance, temperature
):
    model = coins("gate-add", **settings)
    noise = sampling_noise(model, seed=1, index=torch.arange(500))
    label = torch.arange(500) % 4 - 1  # no label, and the three classes
    images = sample(model, label, noise, guidance=guidance, temperature=temperature)
    for one in label.unique():
        conditionals = guided(model, int(one), guidance, temperature)
        expected = drawn_by(conditionals, as_drawn(noise[label == one]))
        assert torch.equal(as_drawn(images[label == one]).long(), expected)


@pytest.mark.parametrize("guidance", [1.0, -0.7])
def test_guided_images_are_as_frequent_as_the_guided_chain_says(guidance):
    model, count = coins("gate-add", channels=3), 6000
    noise = sampling_noise(model, seed=0, index=torch.arange(count))
    images = sample(model, torch.full((count,), 2), noise, guidance=guidance)
    probability = torch.ones(1, dtype=torch.float64)
    for conditional in guided(model, 2, guidance):
        probability = (probability[:, None] * conditional).flatten()
    expected = probability * count
    assert ((counted(as_drawn(images)) - expected).square() / expected).sum() < 103.5  # 99.9%, 63 degrees of freedom


@pytest.mark.parametrize("fusion", ["film", "one-hot-map+after-block", "cross-attention"])
def test_guidance_0_draws_the_very_same_images_as_none_and_minus_1_those_without_a_label(fusion):
    model = randomised(tiny_model(fusion, image_size=(2, 3), levels=256)).float()
    noise, label = sampling_noise(model, 0, torch.arange(6)), torch.arange(6) % 3
    plain = sample(model, label, noise)
    assert torch.equal(sample(model, label, noise, guidance=0.0), plain)
    assert torch.equal(sample(model, label, noise, guidance=-1.0), sample(model, None, noise))
    assert not torch.equal(sample(model, label, noise, guidance=1.0), plain)


def test_without_guidance_the_network_runs_once_a_pixel_and_with_it_twice():
    model = coins(image_size=(2, 3))
    noise, calls = sampling_noise(model, 0, torch.arange(2)), []
    model.register_forward_hook(lambda *_: calls.append(1))
    for guidance, runs in ((0.0, 1), (1.0, 2)):
        calls.clear()
        sample(model, torch.tensor([0, 1]), noise, guidance=guidance)
        assert len(calls) == runs * 2 * 3


def test_a_guided_image_does_not_depend_on_the_batch_it_is_drawn_in():
    model = randomised(tiny_model("gate-add", image_size=(3, 5), levels=256))
    index, label = torch.tensor([3, 0, 7, 8]), torch.tensor([0, 1, NO_LABEL, 2])
    together = sample(model, label, sampling_noise(model, 5, index), guidance=2.0)
    for i in range(4):
        one = slice(i, i + 1)
        alone = sample(model, label[one], sampling_noise(model, 5, index[one]), guidance=2.0)
        assert torch.equal(together[one], alone)
