import itertools
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelbayes.images.pixels import to_level, to_x
from pixelbayes.models.likelihood import LIKELIHOODS, Categorical, MixtureOfLogistics, bits_per_dim, draw

VECTORS = Path(__file__).parents[1] / "vectors"


def random_params(channels, num_mixtures=3, spread=1.0, seed=0):
    """Network outputs for one pixel, (1, P, 1, 1), float64."""
    count = num_mixtures * MixtureOfLogistics.numbers_per_mixture(channels)
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(1, count, 1, 1, generator=generator, dtype=torch.float64)


def every_colour(channels, levels):
    """Every colour that a pixel can have, int64 (levels^C, C, 1, 1)."""
    return torch.cartesian_prod(*[torch.arange(levels)] * channels).view(-1, channels, 1, 1)


def joint(params, channels, levels, kind=MixtureOfLogistics):
    """Probability of each colour of one pixel, (levels,) * C."""
    x = to_x(every_colour(channels, levels), levels, params.dtype)
    log_prob = kind(params.expand(len(x), -1, -1, -1), channels, levels).log_prob(x)
    return log_prob.exp().view((levels,) * channels)


# Total probability


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 256), (3, 3), (3, 17)])
def test_the_colours_of_a_pixel_have_total_probability_one(channels, levels):
    for spread in (0.3, 3.0, 30.0):  # the last puts log-scales out of their range, on both sides
        total = joint(random_params(channels, spread=spread), channels, levels).sum()
        torch.testing.assert_close(total.item(), 1.0, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("levels", "spread"), [(2, 3.0), (17, 0.3), (256, 3.0), (256, 30.0)])
def test_each_colour_given_the_earlier_ones_has_total_probability_one_and_their_product_is_that_of_the_pixel(
    levels, spread
):
    params = torch.cat([random_params(3, spread=spread, seed=seed) for seed in range(20)])
    generator = torch.Generator().manual_seed(1)
    level = torch.randint(levels, (20, 3, 1, 1), generator=generator)
    x = to_x(level, levels, torch.float64)
    mixture = MixtureOfLogistics(params, channels=3, levels=levels)
    log_weights, total = mixture.log_weights(), torch.zeros(20, 1, 1, dtype=torch.float64)
    for colour in range(3):
        components = mixture.level_log_prob(colour, x)  # (B, K, H, W, L)
        torch.testing.assert_close(components.exp().sum(dim=-1), torch.ones(20, 3, 1, 1).double(), rtol=0, atol=1e-11)
        conditional = (log_weights[..., None] + components).logsumexp(dim=1) - log_weights.logsumexp(dim=1)[..., None]
        here = level[:, colour, ..., None]  # (B, H, W, 1)
        total += conditional.gather(-1, here).squeeze(-1)
        log_weights = log_weights + components.gather(-1, here[:, None].expand(-1, 3, -1, -1, -1)).squeeze(-1)
    torch.testing.assert_close(mixture.log_prob(x), total)


def test_the_conditional_of_a_colour_depends_on_the_earlier_colours_only():
    mixture = MixtureOfLogistics(random_params(3), channels=3, levels=17)
    one, other = (to_x(torch.tensor(colour).view(1, 3, 1, 1), 17, torch.float64) for colour in ([4, 8, 1], [4, 9, 16]))
    for colour, depends in enumerate((False, False, True)):
        same = torch.equal(mixture.level_log_prob(colour, one), mixture.level_log_prob(colour, other))
        assert same is not depends


def test_each_coefficient_shifts_the_mean_by_its_tanh_times_an_earlier_colour():
    x = to_x(torch.tensor([40, 200, 90]).view(1, 3, 1, 1), 256, torch.float64)
    red, green, _ = x.flatten()
    means, coeffs = torch.tensor([0.1, -0.2, 0.3]).double(), torch.tensor([0.5, -1.5, 2.5]).double()
    c0, c1, c2 = coeffs.tanh()
    log_scales = torch.tensor([-2.0, -1.0, -3.0]).double()
    shifted = means + torch.stack([0 * red, c0 * red, c1 * red + c2 * green])
    linked, free = (
        torch.cat([torch.zeros(1).double(), torch.stack([m, log_scales, c], dim=1).flatten()]).view(1, 10, 1, 1)
        for m, c in ((means, coeffs), (shifted, 0 * coeffs))
    )
    linked, free = (MixtureOfLogistics(params, channels=3, levels=256).log_prob(x) for params in (linked, free))
    torch.testing.assert_close(linked, free)


# The log-probability of a bin


def reference_bin(level, levels, mean, log_scale):
    """log of sigmoid(a) - sigmoid(b), directly, in 50 digits; by symmetry in the tail where both are small."""
    with mpmath.workdps(50):
        scale = mpmath.exp(min(max(mpmath.mpf(log_scale), -7), 7))
        x, half_bin = mpmath.mpf(2 * level) / (levels - 1) - 1, mpmath.mpf(1) / (levels - 1)
        upper = mpmath.inf if level == levels - 1 else (x + half_bin - mean) / scale
        lower = -mpmath.inf if level == 0 else (x - half_bin - mean) / scale
        if upper + lower > 0:
            upper, lower = -lower, -upper

        def sigmoid(z):  # of a number that is below or near 0
            return mpmath.mpf(0) if z == -mpmath.inf else mpmath.exp(z) / (1 + mpmath.exp(z))

        return mpmath.log(sigmoid(upper) - sigmoid(lower))


def tolerance(mean, log_scale, levels, log_prob, dtype):
    """Bound on the rounding error of the log-probability.

    An edge (x ± half - mean) / s has at most eight roundings, each of at most eps (1 + half + |mean|) / s. An error of
    an edge changes the log-probability by at most as much, and there are two edges. The log-probability is the sum of
    three more terms, all negative, with two roundings each, of their size or of one.
    """
    scale = np.exp(np.clip(log_scale, -7, 7))
    return torch.finfo(dtype).eps * (16 * (1 + 1 / (levels - 1) + abs(mean)) / scale + 4 * abs(log_prob) + 8)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    mean=st.one_of(st.floats(-1.5, 1.5, width=32), st.floats(-1e3, 1e3, width=32), st.floats(-1e6, 1e6, width=32)),
    log_scale=st.one_of(st.floats(-8, 8, width=32), st.floats(-50, 50, width=32)),
    levels=st.sampled_from([2, 17, 256]),
)
def test_the_log_probability_of_every_level_is_correct_up_to_rounding(mean, log_scale, levels):
    expected = [float(reference_bin(level, levels, mean, log_scale)) for level in range(levels)]
    for dtype in (torch.float32, torch.float64):
        params = torch.tensor([0.0, mean, log_scale], dtype=dtype).view(1, 3, 1, 1).expand(levels, -1, -1, -1)
        x = to_x(torch.arange(levels), levels, dtype).view(-1, 1, 1, 1)
        found = MixtureOfLogistics(params, channels=1, levels=levels).log_prob(x).flatten().tolist()
        for one, exact in zip(found, expected, strict=True):
            assert abs(one - exact) <= tolerance(mean, log_scale, levels, exact, dtype)


@pytest.mark.parametrize("spread", [0.5, 8.0])
def test_the_log_probability_of_a_mixture_over_three_colours_is_that_of_50_digits(spread):
    params = torch.cat([random_params(3, num_mixtures=2, spread=spread, seed=seed) for seed in range(10)])
    level = torch.randint(256, (10, 3), generator=torch.Generator().manual_seed(1))
    level[:4] = torch.tensor([[0, 0, 0], [255, 255, 255], [0, 255, 128], [255, 1, 0]])
    found = MixtureOfLogistics(params, 3, 256).log_prob(to_x(level, 256, torch.float64)[..., None, None])
    pixels = zip(params.flatten(1).tolist(), level.tolist(), found.flatten().tolist(), strict=True)
    for numbers, (r, g, b), one in pixels:
        logits = numbers[:2]
        rest = np.array(numbers[2:]).reshape(3, 3, 2)  # colour, (mean, log-scale, coefficient), component
        with mpmath.workdps(50):
            red, green = (mpmath.mpf(2 * value) / 255 - 1 for value in (r, g))
            weights = [mpmath.exp(logit) for logit in logits]
            total = mpmath.mpf(0)
            for k, weight in enumerate(weights):
                (m_r, s_r, c0), (m_g, s_g, c1), (m_b, s_b, c2) = (
                    map(mpmath.mpf, row) for row in rest[:, :, k].tolist()
                )
                m_g += mpmath.tanh(c0) * red
                m_b += mpmath.tanh(c1) * red + mpmath.tanh(c2) * green
                bins = ((r, m_r, s_r), (g, m_g, s_g), (b, m_b, s_b))
                total += weight / sum(weights) * mpmath.exp(sum(reference_bin(v, 256, m, s) for v, m, s in bins))
            assert one == pytest.approx(float(mpmath.log(total)), rel=1e-11)


@pytest.mark.parametrize("num_mixtures", [1, 2])  # a second component could hide an infinity of the first one
@pytest.mark.parametrize(("dtype", "bits"), [(torch.float32, 32), (torch.float64, 64)])
@settings(max_examples=75, deadline=None, derandomize=True)
@given(data=st.data(), level=st.lists(st.sampled_from([0, 1, 128, 255]), min_size=3, max_size=3))
def test_every_finite_output_has_a_finite_log_probability_and_gradient(dtype, bits, num_mixtures, data, level):
    finite = st.floats(width=bits, allow_nan=False, allow_infinity=False)
    extreme = st.sampled_from([torch.finfo(dtype).max, torch.finfo(dtype).min, -7.0, 7.0])
    numbers = data.draw(st.lists(finite | extreme, min_size=10 * num_mixtures, max_size=10 * num_mixtures))
    params = torch.tensor(numbers, dtype=dtype).view(1, -1, 1, 1).requires_grad_()
    mixture = MixtureOfLogistics(params, channels=3, levels=256)
    log_prob = mixture.log_prob(to_x(torch.tensor(level), 256, dtype).view(1, 3, 1, 1))
    assert log_prob.isfinite().all()
    assert log_prob <= 1e-5
    (gradient,) = torch.autograd.grad(log_prob.sum(), params)
    assert gradient.isfinite().all()
    assert mixture.sample(torch.full((1, 3, 1, 1), 0.5, dtype=dtype)).abs().max() <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", LIKELIHOODS.values())
def test_half_precision_is_converted_to_float32(kind, dtype):
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(1, kind.num_params(3, 17, 3), 1, 1, generator=generator).to(dtype)
    x = to_x(torch.tensor([3, 16, 9]).view(1, 3, 1, 1), 17)
    log_prob = kind(params, 3, 17).log_prob(x)
    assert log_prob.dtype == torch.float32
    assert torch.equal(log_prob, kind(params.float(), 3, 17).log_prob(x))


@pytest.mark.parametrize(("channels", "width"), [(1, 7), (3, 35), (3, 0), (1, 2)])
def test_a_number_of_outputs_that_is_no_multiple_of_a_mixtures_is_rejected(channels, width):
    with pytest.raises(ValueError, match=f"params has {width} channels, expected a multiple of"):
        MixtureOfLogistics(torch.zeros(2, width, 4, 5), channels=channels, levels=256)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_nll_is_that_of_the_authors_formula(dtype):
    with np.load(VECTORS / "original_nll.npz") as vectors:
        pixels, params, nll = (torch.from_numpy(vectors[name]) for name in ("pixels", "params", "nll"))
    log_prob = MixtureOfLogistics(params.to(dtype), 3, 256).log_prob(to_x(pixels, 256, dtype))
    tight = {"rtol": 1e-12, "atol": 0.0} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 0.0}
    torch.testing.assert_close(-log_prob.sum(dim=(1, 2)).double(), nll, **tight)


def test_a_uniform_distribution_over_256_levels_costs_eight_bits():
    nll = torch.tensor([3 * 8 * 12]).double() * torch.tensor(256.0).double().log()
    torch.testing.assert_close(bits_per_dim(nll, dims=3 * 8 * 12), torch.tensor([8.0]).double())


# Sampling


def evenly_spaced(count):
    """Noise whose empirical distribution is uniform up to one in `count`."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


def shares(levels_drawn, levels):
    return torch.bincount(levels_drawn.flatten(), minlength=levels) / levels_drawn.numel()


def test_evenly_spaced_noise_draws_each_level_as_often_as_it_is_probable():
    log_prob = torch.tensor([0.1, 0.0, 0.25, 0.65, 0.0]).double().log()
    assert shares(draw(log_prob.expand(100, -1), evenly_spaced(100)), 5).tolist() == pytest.approx(
        [0.1, 0, 0.25, 0.65, 0]
    )


@pytest.mark.parametrize("temperature", [0.25, 2.0])
def test_a_temperature_draws_from_the_normalised_power(temperature):
    probability = torch.tensor([0.1, 0.3, 0.02, 0.58]).double()
    power = probability ** (1 / temperature)
    found = shares(draw(probability.log().expand(4000, -1), evenly_spaced(4000), temperature), 4)
    assert (found - power / power.sum()).abs().max() <= 1 / 4000


def test_a_temperature_towards_0_draws_the_mode_and_towards_infinity_every_level_equally_often():
    log_prob = torch.tensor([0.1, 0.3, 0.02, 0.58]).double().log().expand(400, -1)
    assert draw(log_prob, evenly_spaced(400), 1e-6).unique().tolist() == [3]
    assert shares(draw(log_prob, evenly_spaced(400), 1e9), 4).tolist() == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_noise_however_near_0_or_1_draws_an_impossible_level(dtype):
    least, most = torch.tensor(0.0, dtype=dtype), torch.tensor(1 - torch.finfo(dtype).eps / 2, dtype=dtype)
    for seed in range(100):
        weights = torch.rand(256, generator=torch.Generator().manual_seed(seed), dtype=dtype)
        weights[:5] = weights[-5:] = 0
        log_prob = (weights / weights.sum()).log()
        assert draw(log_prob, least) == 5
        assert draw(log_prob, most) == 250


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", LIKELIHOODS.values())
def test_each_colour_is_drawn_from_its_conditional_given_those_drawn_before(kind, channels, temperature):
    levels, count = 5, 2000
    generator = torch.Generator().manual_seed(0)
    params = 1.5 * torch.randn(1, kind.num_params(channels, levels, 3), 1, 1, generator=generator, dtype=torch.float64)
    probability = joint(params, channels, levels, kind)  # (levels,) * C
    likelihood = kind(params.expand(count, -1, -1, -1), channels, levels)
    for colour in range(channels):
        noise = torch.full((count, channels, 1, 1), 0.7, dtype=torch.float64)
        noise[:, colour, 0, 0] = evenly_spaced(count)
        drawn = to_level(likelihood.sample(noise, temperature), levels)[..., 0, 0]  # (count, C)
        conditional = probability[tuple(drawn[0, :colour])].reshape(levels, -1).sum(dim=1) ** (1 / temperature)
        assert (drawn[:, :colour] == drawn[0, :colour]).all()
        assert (shares(drawn[:, colour], levels) - conditional / conditional.sum()).abs().max() <= 1 / count


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_every_value_that_is_drawn_is_one_of_the_levels(levels):
    noise = torch.rand(30, 3, 2, 3, generator=torch.Generator().manual_seed(0))
    params = random_params(3, spread=2.0).float().expand(30, -1, 2, 3)
    x = MixtureOfLogistics(params, channels=3, levels=levels).sample(noise)
    assert torch.isin(x, to_x(torch.arange(levels), levels)).all()


def test_a_pixel_is_drawn_independently_of_the_others_in_its_batch():
    params = torch.cat([random_params(3, seed=seed) for seed in range(6)]).view(2, 3, -1).permute(0, 2, 1)[:, :, None]
    noise = torch.rand(2, 3, 1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = MixtureOfLogistics(params, channels=3, levels=256).sample(noise)
    for image, column in itertools.product(range(2), range(3)):
        here = (slice(image, image + 1), slice(None), slice(None), slice(column, column + 1))
        assert torch.equal(MixtureOfLogistics(params[here], channels=3, levels=256).sample(noise[here]), together[here])


# The categorical likelihood


def softmax_params(channels, levels, seed=0, spread=1.0):
    """Network outputs for one pixel, (1, L C (C + 1) / 2, 1, 1), float64."""
    generator = torch.Generator().manual_seed(seed)
    count = levels * channels * (channels + 1) // 2
    return spread * torch.randn(1, count, 1, 1, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 256), (3, 3), (3, 17)])
def test_a_softmax_gives_the_colours_of_a_pixel_total_probability_one(channels, levels):
    for spread in (0.3, 3.0, 100.0):
        total = joint(softmax_params(channels, levels, spread=spread), channels, levels, Categorical).sum()
        torch.testing.assert_close(total.item(), 1.0, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", LIKELIHOODS.values())
@pytest.mark.parametrize(("channels", "levels"), [(1, 5), (3, 2), (3, 5), (3, 256)])
def test_the_log_probability_of_a_pixel_is_the_sum_over_its_colours_given_the_earlier_ones(kind, channels, levels):
    generator = torch.Generator().manual_seed(1)
    params = torch.randn(4, kind.num_params(channels, levels, 3), 2, 5, generator=generator, dtype=torch.float64)
    level = torch.randint(levels, (4, channels, 2, 5), generator=generator)
    x = to_x(level, levels, torch.float64)
    likelihood, total = kind(params, channels, levels), 0
    for colour in range(channels):
        earlier = x.clone()
        earlier[:, colour:] = torch.nan  # this colour and later ones are ignored
        conditional = likelihood.colour_log_prob(colour, earlier)  # (B, H, W, L)
        torch.testing.assert_close(conditional.exp().sum(dim=-1), torch.ones(4, 2, 5).double(), rtol=0, atol=1e-11)
        total = total + conditional.gather(-1, level[:, colour, ..., None]).squeeze(-1)
    torch.testing.assert_close(likelihood.log_prob(x), total)


def test_the_logits_of_a_softmax_are_linear_in_the_earlier_colours():
    params = softmax_params(3, 4)
    a_r, a_g, b_g, a_b, b_b, c_b = params.view(6, 4)
    x = to_x(torch.tensor([0, 3, 1]).view(1, 3, 1, 1), 4, torch.float64)
    red, green, _ = x.flatten()
    logits = torch.stack([a_r, a_g + b_g * red, a_b + b_b * red + c_b * green])
    expected = logits.log_softmax(dim=1)[torch.arange(3), torch.tensor([0, 3, 1])].sum()
    torch.testing.assert_close(Categorical(params, 3, 4).log_prob(x).item(), expected.item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1.0, 1e4, 1e30])
def test_a_softmax_has_a_finite_log_probability_and_gradient(size, dtype):
    params = (size * softmax_params(3, 256)).to(dtype).requires_grad_()
    for level in (0, 128, 255):
        log_prob = Categorical(params, 3, 256).log_prob(to_x(torch.full((1, 3, 1, 1), level), 256, dtype))
        (gradient,) = torch.autograd.grad(log_prob.sum(), params)
        assert log_prob.isfinite().all()
        assert log_prob <= 0
        assert gradient.isfinite().all()


@pytest.mark.parametrize(("channels", "levels", "width"), [(1, 17, 16), (3, 17, 6 * 17 + 1), (3, 17, 17), (3, 17, 0)])
def test_a_number_of_outputs_that_is_not_the_softmaxs_is_rejected(channels, levels, width):
    expected = Categorical.num_params(channels, levels, 0)
    with pytest.raises(ValueError, match=f"params has {width} channels, expected {expected}"):
        Categorical(torch.zeros(2, width, 4, 5), channels, levels)


def test_a_softmax_has_an_intercept_for_each_level_and_a_slope_for_each_earlier_colour():
    assert Categorical.num_params(1, 256, 5) == 256
    assert Categorical.num_params(3, 256, 5) == 6 * 256
    assert Categorical.num_params(3, 256, 99) == MixtureOfLogistics.num_params(3, 256, 5) + 6 * 256 - 50


# Guidance


@pytest.mark.parametrize("guidance", [-1.0, -0.5, 3.0])
@pytest.mark.parametrize("kind", LIKELIHOODS.values())
def test_guidance_draws_each_colour_from_the_powers_of_the_two_conditionals(kind, guidance):
    levels, count = 5, 2000
    generator = torch.Generator().manual_seed(2)
    shape = (2, 1, kind.num_params(3, levels, 3), 1, 1)
    params = 1.5 * torch.randn(shape, generator=generator, dtype=torch.float64)
    conditional, unconditional = (joint(one, 3, levels, kind) for one in params)
    likelihood, guide = (kind(one.expand(count, -1, -1, -1), 3, levels) for one in params)
    for colour in range(3):
        noise = torch.full((count, 3, 1, 1), 0.7, dtype=torch.float64)
        noise[:, colour, 0, 0] = evenly_spaced(count)
        drawn = to_level(likelihood.sample(noise, guide=guide, guidance=guidance), levels)[..., 0, 0]  # (count, C)
        one, other = (p[tuple(drawn[0, :colour])].reshape(levels, -1).sum(dim=1) for p in (conditional, unconditional))
        expected = (one / one.sum()) ** (1 + guidance) * (other / other.sum()) ** -guidance
        assert (shares(drawn[:, colour], levels) - expected / expected.sum()).abs().max() <= 1 / count


# Inversion of the cumulative distribution without summing over the levels


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 3), (1, 5), (3, 17), (3, 100), (1, 255), (3, 256)])
def test_inversion_draws_the_same_as_the_sum_over_all_levels(channels, levels):
    for kind in LIKELIHOODS.values():
        for spread in (0.3, 3.0, 30.0):
            generator = torch.Generator().manual_seed(levels)
            count = kind.num_params(channels, levels, 3)
            params = spread * torch.randn(20, count, 2, 3, generator=generator, dtype=torch.float64)
            noise = torch.rand(20, channels, 2, 3, generator=generator, dtype=torch.float64)
            likelihood = kind(params, channels, levels)
            torch.testing.assert_close(likelihood.invert(noise), likelihood.sample(noise), rtol=0, atol=0)


@pytest.mark.parametrize("levels", [2, 3, 4, 5, 16, 17, 255, 256])
def test_inversion_of_evenly_spaced_noise_draws_each_level_as_often_as_it_is_probable(levels):
    count = 2000
    params = torch.tensor([0.0, 0.3, 0.0, 0.2, -0.5, -1.5], dtype=torch.float64).view(1, 6, 1, 1)
    mixture = MixtureOfLogistics(params.expand(count, -1, -1, -1), channels=1, levels=levels)
    noise = evenly_spaced(count).view(-1, 1, 1, 1)
    drawn = shares(to_level(mixture.invert(noise), levels), levels)
    expected = mixture.colour_log_prob(0, noise)[0, 0, 0].exp()
    torch.testing.assert_close(drawn.double(), expected, rtol=0, atol=1.01 / count)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(400, 1, 1), (1, 20, 20)])  # sums differ in their rounding by shape
@pytest.mark.parametrize("num_mixtures", [5, 20])
def test_no_noise_however_near_0_or_1_inverts_to_an_impossible_level(num_mixtures, shape, dtype):
    batch, *size = shape
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, num_mixtures, *size, generator=generator, dtype=dtype)
    numbers = (logits, torch.zeros_like(logits), torch.full_like(logits, -7.0))  # levels 0 and 255 have e^-1092
    mixture = MixtureOfLogistics(torch.cat(numbers, dim=1), channels=1, levels=256)
    for noise in (0.0, 1 - torch.finfo(dtype).eps / 2):
        level = to_level(mixture.invert(torch.full((batch, 1, *size), noise, dtype=dtype)), 256)
        assert 0 < level.min() <= level.max() < 255
