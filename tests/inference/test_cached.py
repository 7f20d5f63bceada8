import warnings

import pytest
import torch
from networks import EVERY_FUSION, random_images, randomised, tiny_model
from torch.utils.flop_counter import FlopCounterMode

from pixelbayes.images.pixels import to_x
from pixelbayes.inference import CachedSampler, Given, sample, sample_cached, sampling_noise
from pixelbayes.inference.cached import stepping
from pixelbayes.inference.cached.network import CachedNetwork
from pixelbayes.inference.cached.sampler import standing
from pixelbayes.models.fusion import Condition


def model_of(fusion="film", **changes):
    return randomised(tiny_model(fusion, **{"levels": 256, "image_size": (5, 7)} | changes))


def both(model, label, noise, **how):
    return sample(model, label, noise, **how), sample_cached(model, label, noise, **how)


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_for_every_fusion_it_draws_what_the_plain_sampler_draws(fusion):
    model = model_of(fusion)
    label = torch.tensor([0, 2, -1])  # mixed in one batch
    plain, cached = both(model, label, sampling_noise(model, 0, torch.arange(3)))
    assert torch.equal(cached, plain)


@pytest.mark.parametrize("fusion", ["film", "input-concat", "channel-concat+adaln+output-concat"])
@pytest.mark.parametrize("how", [{"guidance": 1.5}, {"temperature": 0.7}, {"guidance": -0.4, "temperature": 1.3}])
def test_guidance_and_temperature_are_the_plain_samplers(fusion, how):
    model = model_of(fusion, image_size=(4, 6))
    plain, cached = both(model, torch.tensor([1, 0]), sampling_noise(model, 3, torch.arange(2)), **how)
    assert torch.equal(cached, plain)


@pytest.mark.parametrize(
    "settings",
    [
        {"image_size": (1, 1)},
        {"image_size": (1, 9)},
        {"image_size": (9, 1)},
        {"image_size": (8, 12)},
        {"image_size": (6, 11), "num_blocks": 2},
        {"channels": 1, "levels": 2},
        {"channels": 1, "levels": 17, "num_mixtures": 1},
        {"levels": 5, "likelihood": "categorical"},
        {"mean": (0.1, -0.2, 0.3), "std": (0.5, 2.0, 1.0)},
        {"weight_norm": False},
    ],
    ids=str,
)
def test_every_size_level_count_and_likelihood_is_drawn_as_plainly(settings):
    model = model_of("one-hot-map+film", **settings)
    plain, cached = both(model, torch.tensor([1, 2]), sampling_noise(model, 1, torch.arange(2)))
    assert torch.equal(cached, plain)


def fed(model, x, label):
    """Parameters of every pixel, (B, P, H, W), by a cached network that is fed an image."""
    height, width = x.shape[2:]
    cached = CachedNetwork(model, len(x))
    with torch.no_grad():
        cached.begin(model.fusion.prepare(label))
        params = []
        for row in range(height):
            cached.begin_row(row, x[:, :, row - 1, None] if row else x[:, :, :1])
            for column in range(width):
                cached.move(column)
                params.append(cached.params(standing(row, column)))
                cached.push(x[:, :, row, None, column, None])
    return torch.cat(params, dim=3).unflatten(3, (height, width)).squeeze(2)


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_along_a_given_image_its_parameters_are_those_of_one_pass(fusion):
    model = model_of(fusion).float()
    x = to_x(random_images(2, model.config), 256)
    label = torch.tensor([0, 2])
    torch.testing.assert_close(fed(model, x, Condition(label)), model(x, label), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fusion", ["film", "input-add", "cross-attention", "adaln"])
def test_in_float32_images_are_equal_up_to_a_draw_within_rounding_of_a_step_of_the_cdf(fusion):
    model = model_of(fusion).float()
    label = torch.arange(24) % 3
    noise = sampling_noise(model, 0, torch.arange(24))
    plain, cached = both(model, label, noise)
    likelihood = model.likelihood(model(to_x(plain, 256), label))
    for image in range(24):
        differing = (plain[image] != cached[image]).permute(1, 2, 0).flatten().nonzero()  # pixel by pixel, by colour
        if len(differing):
            pixel, colour = divmod(int(differing[0]), 3)
            row, column = divmod(pixel, 7)
            log_prob = likelihood.colour_log_prob(colour, to_x(plain, 256))[image, row, column]
            distance = (log_prob.exp().cumsum(0) - noise[image, colour, row, column]).abs().min()
            assert distance < 1e-4


@pytest.mark.parametrize("settings", [{}, {"num_blocks": 2}])
def test_an_image_costs_no_more_arithmetic_than_one_pass(settings):
    model = model_of("gate-add", image_size=(16, 16), num_filters=8, **settings)
    noise, label = sampling_noise(model, 0, torch.arange(2)), torch.tensor([0, 1])
    sampler = CachedSampler(model, 2)
    with FlopCounterMode(display=False) as one_pass, torch.no_grad():
        model(torch.zeros_like(noise), label)
    with FlopCounterMode(display=False) as sampling:
        sampler(label, noise)
    # a padded edge is multiplied out in one pass and not here, or the other way round
    assert sampling.get_total_flops() < 1.1 * one_pass.get_total_flops()


def test_a_sampler_draws_batch_after_batch_and_forgets_the_one_before():
    model = model_of("input-concat")
    sampler = CachedSampler(model, 2, guidance=0.5)
    for batch in (0, 1):
        label = torch.tensor([batch, 2])
        noise = sampling_noise(model, batch, torch.arange(2))
        assert torch.equal(sampler(label, noise), sample(model, label, noise, guidance=0.5))


@pytest.mark.parametrize("known", [0, 1, 7, 10, 34, 35])
@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_given_pixels_are_kept_and_the_others_drawn_as_plainly(known, guidance):
    model = model_of()
    pixels = random_images(2, model.config)
    noise = sampling_noise(model, 0, torch.arange(2))
    plain, cached = both(model, torch.tensor([0, 1]), noise, given=Given(pixels, known), guidance=guidance)
    assert torch.equal(cached, plain)
    assert torch.equal(cached.flatten(2)[:, :, :known], pixels.flatten(2)[:, :, :known])
    if known < 34:
        assert not torch.equal(cached, pixels)


def test_what_is_not_known_of_a_given_image_is_not_read():
    model = model_of()
    pixels, noise = random_images(1, model.config), sampling_noise(model, 0, torch.arange(3))
    blackened = pixels.clone()
    blackened.flatten(2)[:, :, 12:] = 0
    label = torch.tensor([0, 1, 2])
    one, other = (sample_cached(model, label, noise, given=Given(part, 12)) for part in (pixels, blackened))
    assert torch.equal(one, other)  # one image given for all three


def test_the_compiled_step_draws_the_same():
    model = model_of("film+input-concat", image_size=(4, 5), num_filters=2, num_mixtures=1)
    label, noise = torch.tensor([0]), sampling_noise(model, 0, torch.arange(1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # inductor's own use of torch
        drawn = CachedSampler(model, 1, compiled=True)(label, noise)
    assert torch.equal(drawn, sample(model, label, noise))


def test_where_a_step_cannot_be_compiled_sampling_warns_and_goes_on(monkeypatch):
    def compile_nothing(*_, **__):
        raise RuntimeError("no C++ compiler\nand much more")

    monkeypatch.setattr(stepping.torch, "compile", compile_nothing)
    model = model_of(image_size=(2, 3))
    label, noise = torch.tensor([0]), sampling_noise(model, 0, torch.arange(1))
    with pytest.warns(UserWarning, match="without compiled steps: no C\\+\\+ compiler$"):
        drawn = CachedSampler(model, 1, compiled=True)(label, noise)
    assert torch.equal(drawn, sample(model, label, noise))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("fusion", ["film", "input-concat", "cross-attention"])
def test_on_cuda_the_captured_step_draws_the_same(fusion):
    model = model_of(fusion).cuda()
    label, noise = torch.tensor([0, 2, 1]).cuda(), sampling_noise(model, 0, torch.arange(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a capture that fails warns
        for guidance in (0.0, 1.0):
            assert torch.equal(*both(model, label, noise, guidance=guidance))


def test_threads_are_given_back_after_sampling():
    before = torch.get_num_threads()
    model = model_of(image_size=(1, 2))
    sample_cached(model, None, sampling_noise(model, 0, torch.arange(1)))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_above_0_is_refused(temperature):
    with pytest.raises(ValueError, match=r"temperature is .*, expected a number above 0"):
        CachedSampler(model_of(), 1, temperature=temperature)
