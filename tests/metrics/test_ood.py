import io
import math

import pytest
import torch

from pixelbayes.checkpoints.calibration_record import Typical
from pixelbayes.images.preprocessing import to_image
from pixelbayes.metrics.ood import SCORES, auroc, beyond_limits, code_length, fit_typical, outlier_scores

DIMS = 3 * 8 * 12


def noise(count, seed=0):
    return torch.randint(256, (count, 3, 8, 12), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def nats(*bits):
    """log p(x) of images that take so many bits per dimension."""
    return -torch.tensor(bits, dtype=torch.float64) * DIMS * math.log(2)


# Code length


@pytest.mark.parametrize("channels", [1, 3])
def test_a_plain_image_is_shorter_than_a_gradient_is_shorter_than_noise(channels):
    plain = torch.zeros(channels, 16, 24, dtype=torch.uint8)
    gradient = torch.arange(24, dtype=torch.uint8).expand(channels, 16, 24)
    random = torch.randint(256, plain.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    lengths = code_length(torch.stack([plain, gradient, random]), 256).tolist()
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[1] < lengths[2] / 4


def test_noise_cannot_be_compressed_and_nothing_but_its_pixels_is_counted():
    # a stream of incompressible bytes: the pixels, a filter byte a row, and zlib's frame of 11 bytes
    assert code_length(noise(1), 256).item() == 8 * (DIMS + 8 + 11)


def test_the_code_is_the_shortest_that_pillow_finds_less_what_every_file_has():
    rows, columns = torch.arange(32)[:, None], torch.arange(48)
    pixels = (rows * columns // 7 % 256).to(torch.uint8)[None]
    file = io.BytesIO()
    to_image(pixels, 256).save(file, format="PNG", optimize=True)
    others = 8 + 25 + 12 + 12  # signature, header, the frame of the pixels' chunk, end
    assert code_length(pixels[None], 256).item() == 8 * (len(file.getvalue()) - others)


# Scores


def test_scores_worked_by_hand():
    pixels = noise(3)
    scores = outlier_scores(nats(9, 3, 4.5), pixels, 256, typical_bits=4)
    assert tuple(scores) == SCORES
    assert scores["likelihood"].tolist() == pytest.approx([9, 3, 4.5])
    assert scores["typicality"].tolist() == pytest.approx([5, 1, 0.5])
    length = code_length(pixels, 256) / DIMS
    torch.testing.assert_close(scores["complexity"], torch.tensor([9, 3, 4.5], dtype=torch.float64) - length)


def test_an_image_as_simple_as_it_is_likely_is_no_outlier_by_complexity():
    plain = torch.zeros(1, 3, 8, 12, dtype=torch.uint8)
    pixels = torch.cat([plain, noise(1)])
    bits = code_length(pixels, 256) / DIMS
    scores = outlier_scores(nats(*bits.tolist()), pixels, 256, typical_bits=0)
    assert scores["likelihood"][0] < scores["likelihood"][1] / 4
    torch.testing.assert_close(scores["complexity"], torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)


# What is typical


def test_the_limits_are_the_ranks_that_a_new_image_exceeds_once_in_a_hundred():
    bits = torch.arange(199) / 10
    typical = fit_typical(nats(*bits.tolist()), noise(199), 256)
    assert typical.bits_per_dim == pytest.approx(9.9)
    assert typical.limits["likelihood"] == pytest.approx(19.7)  # the 198th of 199: ceil(200 x 0.99)
    assert typical.limits["typicality"] == pytest.approx(9.9)  # 0.1 twice, ..., 9.9 twice
    assert set(typical.limits) == set(SCORES)


def test_too_few_images_promise_no_limit():
    assert set(fit_typical(nats(*range(98)), noise(98), 256).limits.values()) == {None}
    assert fit_typical(nats(*range(99)), noise(99), 256).limits["likelihood"] == pytest.approx(98)  # the largest


def test_one_new_image_in_a_hundred_is_beyond_a_limit():
    generator = torch.Generator().manual_seed(0)
    black = torch.zeros(99, 1, 1, 1, dtype=torch.uint8)
    alarms = 0
    for _ in range(60):
        seen, new = torch.randn(2, 99, generator=generator, dtype=torch.float64)
        typical = fit_typical(seen, black, 256)
        alarms += sum(map(bool, beyond_limits({"likelihood": -new / math.log(2)}, typical)))
    assert alarms / (60 * 99) == pytest.approx(0.01, abs=0.004)


def test_an_image_is_flagged_by_each_score_that_exceeds_its_limit():
    scores = {"likelihood": torch.tensor([1.0, 5.0, 3.0]), "typicality": torch.tensor([2.0, 2.0, 0.0])}
    typical = Typical(bits_per_dim=3, limits={"likelihood": 3.0, "complexity": 0.0, "typicality": None})
    assert beyond_limits(scores, typical) == [(), ("likelihood",), ()]


# Separation


def test_sets_apart_have_an_area_of_one_equal_sets_of_a_half_and_exchanging_them_mirrors_it():
    low, high = torch.arange(30) / 30, torch.arange(20) / 20 + 1
    assert auroc(low, high).auroc == 1
    assert auroc(high, low).auroc == 0
    assert auroc(low, low).auroc == pytest.approx(0.5)
    some = torch.randn(25, generator=torch.Generator().manual_seed(0)).double()
    there, back = auroc(some, some[:9] + 0.5), auroc(some[:9] + 0.5, some)
    assert there.auroc == pytest.approx(1 - back.auroc)
    assert there.auroc_interval == pytest.approx((1 - back.auroc_interval[1], 1 - back.auroc_interval[0]))


def test_an_area_worked_by_hand():
    found = auroc(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0, 3.0]))  # pairs won: 1 > 2, tied: 1, of six
    assert found.auroc == pytest.approx(3.5 / 6)
    assert (found.n_inside, found.n_outside) == (2, 3)


@pytest.mark.parametrize(("inside", "outside"), [([0.0] * 30, [1.0] * 20), ([0.0, 1.0] * 15, [0.5, 1.5] * 10)])
def test_each_end_of_the_interval_is_where_a_z_test_would_begin_to_reject(inside, outside):
    found = auroc(torch.tensor(inside), torch.tensor(outside))
    n, m = 30, 20
    for theta in found.auroc_interval:
        if theta not in (0, 1):
            half = (n + m) / 2 - 1
            variance = (
                theta * (1 - theta) * (1 + half * (1 - theta) / (2 - theta) + half * theta / (1 + theta)) / (n * m)
            )
            assert abs(found.auroc - theta) == pytest.approx(1.959964 * variance**0.5, rel=1e-5)


def test_sets_that_do_not_overlap_do_not_pass_for_certainty():
    low, high = auroc(torch.zeros(30), torch.ones(20)).auroc_interval
    assert 0.8 < low < 0.95
    assert high == 1


def test_the_interval_holds_the_true_area_ninety_five_times_in_a_hundred():
    generator = torch.Generator().manual_seed(0)
    held = 0
    truth = 0.5 * (1 + math.erf(1 / 2))  # of N(0, 1) against N(1, 1): P(N(1, 2) > 0)
    for _ in range(300):
        inside, outside = torch.randn(2, 40, generator=generator, dtype=torch.float64)
        low, high = auroc(inside, outside + 1).auroc_interval
        held += low <= truth <= high
    assert held >= 277  # 285 are expected, with a deviation of 4


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="3 scores inside and 0 outside"):
        auroc(torch.ones(3), torch.ones(0))
