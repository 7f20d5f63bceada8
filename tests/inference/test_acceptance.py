import pytest
import torch
from networks import every_image, randomised, tiny_model

from pixelbayes.images.pixels import to_pixels
from pixelbayes.inference import SamplingConfig, sample_images
from pixelbayes.inference.acceptance import (
    PILOT_STEPS,
    AcceptanceRule,
    draws_for,
    fit_acceptance,
    log_odds,
    sample_accepted,
)

CONFIG = {"image_size": (1, 2), "channels": 1, "levels": 3, "num_classes": 2}  # nine images


def small_network():
    return randomised(tiny_model("film", **CONFIG))


def judge_by_first_pixel(pixels):
    """log p(c | x): the brighter the first pixel, the more likely is class 1."""
    p = (pixels[:, 0, 0, 0].double() + 1) / 4
    return torch.stack((1 - p, p), dim=1).log()


def every_case(network, rule):
    """All images, p(x | c) (2, 9) and the log-weight (9, 2) of the accepted density."""
    x = every_image(network.config)
    pixels = to_pixels(x, 3)
    with torch.no_grad():
        p = torch.stack([network.log_prob(x, torch.full((len(x),), label)).exp() for label in range(2)])
    return pixels, p, rule.log_weight(judge_by_first_pixel(pixels))


def exact_rule(network, max_draws, threshold=(0.0, 0.0)):
    """A rule with the exact Z_c of `small_network`."""
    rule = AcceptanceRule(rate=0.5, max_draws=max_draws, threshold=threshold, acceptance=(1.0, 1.0), pilot=1)
    pixels, p, _ = every_case(network, rule)
    log_posterior = judge_by_first_pixel(pixels)
    accepted = torch.stack([rule.accepts(log_posterior, torch.full((9,), label)) for label in range(2)])
    share = (p * accepted).sum(dim=1)
    assert ((share > 0.05) & (share < 0.95)).all()
    return AcceptanceRule(rate=0.5, max_draws=max_draws, threshold=threshold, acceptance=tuple(share.tolist()), pilot=1)


@pytest.mark.parametrize("max_draws", [1, 2, 5, 60])
def test_the_accepted_density_sums_to_one(max_draws):
    network = small_network()
    rule = exact_rule(network, max_draws)
    _, p, log_weight = every_case(network, rule)
    torch.testing.assert_close((p * log_weight.T.exp()).sum(dim=1), torch.ones(2, dtype=torch.float64))
    if max_draws == 1:
        torch.testing.assert_close(log_weight, torch.zeros_like(log_weight))


@pytest.mark.parametrize("max_draws", [1, 3])
def test_samples_follow_the_accepted_density(max_draws):
    network = small_network()
    rule = exact_rule(network, max_draws)
    pixels, p, log_weight = every_case(network, rule)
    count = 4000
    label, index = torch.arange(2).repeat_interleave(count), torch.arange(count).repeat(2)
    found = sample_accepted(network, label, index, judge_by_first_pixel, rule, SamplingConfig(batch_size=8000))
    expected = p * log_weight.T.exp()
    of_image = (found.pixels[:, None] == pixels).flatten(2).all(dim=2)  # (N, 9)
    for c in range(2):
        frequency = of_image[label == c].double().mean(dim=0)
        torch.testing.assert_close(frequency, expected[c], rtol=0, atol=4 * 0.5 / count**0.5)
    assert torch.equal(found.accepted, rule.accepts(judge_by_first_pixel(found.pixels), label))
    assert found.draws.max() == max_draws
    assert (found.draws[~found.accepted] == max_draws).all()


def test_a_sample_does_not_depend_on_the_others():
    network = small_network()
    rule = exact_rule(network, 3)
    label, index = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    together = sample_accepted(network, label, index, judge_by_first_pixel, rule)
    alone = sample_accepted(network, label[2:3], index[2:3], judge_by_first_pixel, rule)
    assert torch.equal(together.pixels[2:3], alone.pixels)


def test_the_thresholds_accept_the_rate_and_the_share_is_measured_on_other_draws():
    network = randomised(tiny_model("film", image_size=(2, 2), channels=1, levels=200, num_classes=2))

    def judge(pixels):
        p = (pixels.double().mean(dim=(1, 2, 3)) + 0.5) / 200
        return torch.stack((1 - p, p), dim=1).log()

    rule = fit_acceptance(network, (0, 1), judge, 0.25, SamplingConfig(seed=5))
    assert rule.pilot == 100
    pilots = torch.arange(2).repeat_interleave(100), torch.arange(100).repeat(2)
    fixing, measuring = (
        rule.accepts(judge(sample_images(network, *pilots, SamplingConfig(seed=5), step=step)), pilots[0]).view(2, 100)
        for step in PILOT_STEPS
    )
    assert all(25 <= count <= 29 for count in fixing.sum(dim=1).tolist())  # a few draws are as good as the threshold
    assert rule.acceptance == pytest.approx(measuring.double().mean(dim=1).tolist())
    assert not torch.equal(fixing.sum(dim=1), measuring.sum(dim=1))
    label, index = torch.arange(2).repeat_interleave(2000), torch.arange(2000).repeat(2)
    once = AcceptanceRule(rate=1.0, max_draws=1, threshold=rule.threshold, acceptance=(1.0, 1.0), pilot=1)
    drawn = sample_accepted(network, label, index, judge, once, SamplingConfig(batch_size=4000))
    for c in range(2):
        share = float(drawn.accepted[label == c].double().mean())
        assert share == pytest.approx(0.25, abs=0.15)  # the threshold is the quantile of 100 draws
        assert rule.acceptance[c] == pytest.approx(share, abs=0.15)  # a mean of 100 draws


@pytest.mark.parametrize(("rate", "draws"), [(1.0, 1), (0.5, 7), (0.3, 13), (0.1, 44)])
def test_by_default_at_most_one_sample_in_a_hundred_is_not_accepted(rate, draws):
    assert draws_for(rate) == draws
    assert (1 - rate) ** draws <= 0.01 < (1 - rate) ** max(0, draws - 1)


def test_log_odds_order_images_where_the_posterior_rounds_to_one():
    log_prob = torch.tensor([[0.0, -50.0, -60.0], [0.0, -40.0, -60.0], [0.0, 1.0, -2.0]], dtype=torch.float64)
    log_posterior = log_prob.log_softmax(dim=1)
    assert log_posterior[0, 0] == log_posterior[1, 0] == 0
    found = log_odds(log_posterior)
    assert found[:2, 0].tolist() == pytest.approx([50, 40], abs=1e-4)
    p = log_posterior[2].exp()
    torch.testing.assert_close(found[2], (p / (1 - p)).log())
    assert log_odds(torch.zeros(1, 1)).tolist() == [[float("inf")]]  # of a single class
