import warnings

import pytest
import torch
from networks import EVERY_FUSION, random_images, random_x, randomised, tiny_model
from torch.utils.flop_counter import FlopCounterMode

from pixelbayes.images.pixels import to_x
from pixelbayes.inference import (
    CachedSampler,
    Prefix,
    SamplingConfig,
    sample_cached,
    sample_reference,
    sampling_noise,
)
from pixelbayes.inference.cached.network import CachedNetwork
from pixelbayes.inference.cached.sampler import lower_resolutions
from pixelbayes.models.fusion import Condition


def model_of(fusion="film", **changes):
    return randomised(tiny_model(fusion, **{"levels": 256, "image_size": (5, 7)} | changes))


def both(model, label, noise, prefix=None, **settings):
    """The samples of the reference sampler and of the cached one."""
    config = SamplingConfig(**settings)
    return tuple(sample(model, label, noise, config, prefix=prefix) for sample in (sample_reference, sample_cached))


def cached_params(model, x, condition):
    """Parameters of every pixel, (B, P, H, W), by a cached network that receives an image pixel by pixel."""
    height, width = x.shape[2:]
    cached = CachedNetwork(model, len(x))
    with torch.no_grad():
        cached.begin(model.fusion.prepare(condition))
        params = []
        for row in range(height):
            cached.begin_row(row, x[:, :, row - 1, None] if row else x[:, :, :1])
            for column in range(width):
                cached.move(column)
                params.append(cached.params(lower_resolutions(row, column)))
                cached.push(x[:, :, row, None, column, None])
    return torch.cat(params, dim=3).unflatten(3, (height, width)).squeeze(2)


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_the_parameters_of_every_pixel_are_those_of_one_pass(fusion):
    model = model_of(fusion)
    x, label = random_x(model), torch.tensor([0, 2, -1])
    torch.testing.assert_close(
        cached_params(model, x, Condition(label)), model(x, label).detach(), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"image_size": (1, 1)},
        {"image_size": (1, 9)},
        {"image_size": (9, 1)},
        {"image_size": (8, 12)},
        {"image_size": (6, 11), "num_blocks": 2},
        {"channels": 1},
        {"levels": 5, "likelihood": "categorical"},
        {"mean": (0.1, -0.2, 0.3), "std": (0.5, 2.0, 1.0)},
        {"weight_norm": False},
        {"views": 4},
    ],
    ids=str,
)
def test_the_parameters_of_every_pixel_are_those_of_one_pass_in_every_network(settings):
    model = model_of("one-hot-map+film", **settings)
    x, condition = random_x(model, 2), Condition(torch.tensor([1, 2]), torch.tensor([0, 0]))
    torch.testing.assert_close(cached_params(model, x, condition), model(x, condition).detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("fusion", "settings"),
    [
        ("film", {}),
        ("input-concat", {}),
        ("channel-concat+adaln+output-concat", {}),
        ("class-head", {}),
        ("output-concat+film+class-head:hidden=5", {"guidance": 1.5, "temperature": 0.8}),
        ("film", {"guidance": 1.5}),
        ("input-concat", {"guidance": -0.4, "temperature": 1.3}),
        ("channel-concat+adaln+output-concat", {"temperature": 0.7}),
    ],
)
def test_the_samples_are_those_of_the_reference_sampler(fusion, settings):
    model = model_of(fusion)
    label = torch.tensor([0, 2, -1])  # with and without a label in one batch
    reference, cached = both(model, label, sampling_noise(model, 0, torch.arange(3)), **settings)
    assert torch.equal(cached, reference)


@pytest.mark.parametrize(
    "settings",
    [
        {"image_size": (6, 9), "channels": 1, "levels": 2},
        {"channels": 1, "levels": 17, "num_mixtures": 1},
        {"levels": 5, "likelihood": "categorical"},
    ],
    ids=str,
)
def test_images_of_any_number_of_levels_are_those_of_the_reference_sampler(settings):
    model = model_of("one-hot-map+film", **settings)
    reference, cached = both(model, torch.tensor([1, 2]), sampling_noise(model, 1, torch.arange(2)))
    assert torch.equal(cached, reference)


@pytest.mark.parametrize("fusion", ["film", "input-add"])
def test_in_float32_samples_are_equal_up_to_a_draw_within_rounding_of_a_step_of_the_cdf(fusion):
    model = model_of(fusion).float()
    label = torch.arange(24) % 3
    noise = sampling_noise(model, 0, torch.arange(24))
    reference, cached = both(model, label, noise)
    likelihood = model.likelihood(model(to_x(reference, 256), label))
    for image in range(24):
        differing = (
            (reference[image] != cached[image]).permute(1, 2, 0).flatten().nonzero()
        )  # pixel by pixel, by colour
        if len(differing):
            pixel, colour = divmod(int(differing[0]), 3)
            row, column = divmod(pixel, 7)
            log_prob = likelihood.colour_log_prob(colour, to_x(reference, 256))[image, row, column]
            distance = (log_prob.exp().cumsum(0) - noise[image, colour, row, column]).abs().min()
            assert distance < 1e-4


def test_an_image_costs_no_more_arithmetic_than_one_pass():
    model = model_of("gate-add", image_size=(4, 8), num_filters=8)
    noise, label = sampling_noise(model, 0, torch.arange(2)), torch.tensor([0, 1])
    sampler = CachedSampler(model, 2)
    with FlopCounterMode(display=False) as one_pass, torch.no_grad():
        model(torch.zeros_like(noise), label)
    with FlopCounterMode(display=False) as sampling:
        sampler(label, noise)
    # some products with the padding occur only in one of the two
    assert sampling.get_total_flops() < 1.05 * one_pass.get_total_flops()


def test_a_sampler_draws_batch_after_batch_independently():
    model, config = model_of("input-concat"), SamplingConfig(guidance=0.5)
    sampler = CachedSampler(model, 2, config)
    for batch in (0, 1):
        label = torch.tensor([batch, 2])
        noise = sampling_noise(model, batch, torch.arange(2))
        assert torch.equal(sampler(label, noise), sample_reference(model, label, noise, config))


@pytest.mark.parametrize(
    ("num_known", "guidance"), [(0, 0.0), (1, 1.0), (7, 0.0), (10, 0.0), (10, 1.0), (34, 0.0), (35, 1.0)]
)
@pytest.mark.parametrize("fusion", ["film", "class-head"])
def test_known_pixels_stay_and_the_others_are_those_of_the_reference_sampler(fusion, num_known, guidance):
    model = model_of(fusion)
    pixels = random_images(2, model.config)
    noise, prefix = sampling_noise(model, 0, torch.arange(2)), Prefix(pixels, num_known)
    reference, cached = both(model, torch.tensor([0, 1]), noise, prefix, guidance=guidance)
    assert torch.equal(cached, reference)
    assert torch.equal(cached.flatten(2)[:, :, :num_known], pixels.flatten(2)[:, :, :num_known])
    assert torch.equal(cached, pixels) == (num_known == 35)


def test_unknown_pixels_of_a_prefix_are_ignored():
    model = model_of()
    pixels, noise = random_images(1, model.config), sampling_noise(model, 0, torch.arange(3))
    other = pixels.clone()
    other.flatten(2)[:, :, 12:] = 0
    label = torch.tensor([0, 1, 2])
    one, two = (sample_cached(model, label, noise, prefix=Prefix(part, 12)) for part in (pixels, other))
    assert torch.equal(one, two)
    assert torch.equal(one.flatten(2)[:, :, :12], pixels.flatten(2)[:, :, :12].expand(3, -1, -1))  # one for all three


@pytest.mark.slow
def test_the_compiled_step_draws_the_same():
    model = model_of("film+input-concat", image_size=(4, 5), num_filters=2, num_mixtures=1)
    label, noise = torch.tensor([0]), sampling_noise(model, 0, torch.arange(1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # raised by torch itself
        drawn = CachedSampler(model, 1, SamplingConfig(compile=True))(label, noise)
    assert torch.equal(drawn, sample_reference(model, label, noise))


@pytest.mark.parametrize(
    ("error", "reason"),
    [(RuntimeError("no C++ compiler\nand much more"), r"no C\+\+ compiler"), (KeyError(), "KeyError")],
)
def test_if_a_step_cannot_be_compiled_sampling_warns_and_continues(error, reason, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(torch, "compile", fail)
    model = model_of(image_size=(2, 3))
    label, noise = torch.tensor([0]), sampling_noise(model, 0, torch.arange(1))
    with pytest.warns(UserWarning, match=f"sampling continues without compiled steps: {reason}$"):
        drawn = CachedSampler(model, 1, SamplingConfig(compile=True))(label, noise)
    assert torch.equal(drawn, sample_reference(model, label, noise))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("fusion", ["film", "input-concat", "cross-attention"])
def test_on_cuda_the_captured_step_draws_the_same(fusion):
    model = model_of(fusion).cuda()
    label, noise = torch.tensor([0, 2, 1]).cuda(), sampling_noise(model, 0, torch.arange(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a capture that fails issues a warning
        for guidance in (0.0, 1.0):
            assert torch.equal(*both(model, label, noise, guidance=guidance))


def test_the_number_of_threads_is_restored_after_sampling():
    before = torch.get_num_threads()
    model = model_of(image_size=(1, 2))
    sample_cached(model, None, sampling_noise(model, 0, torch.arange(1)))
    assert torch.get_num_threads() == before
