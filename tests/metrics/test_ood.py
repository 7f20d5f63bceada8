import io
import math

import pytest
import torch

from pixelbayes.checkpoints.calibration_record import OODReference
from pixelbayes.images.preprocessing import to_image
from pixelbayes.metrics import ood
from pixelbayes.metrics.ood import SCORES, auroc, code_length, exceeded_limits, fit_ood_reference, ood_scores

DIMS = 3 * 8 * 12


def noise(count, seed=0):
    return torch.randint(256, (count, 3, 8, 12), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def nats(*bits):
    """log p(x) of images, from their bits per dimension."""
    return -torch.tensor(bits, dtype=torch.float64) * DIMS * math.log(2)


# Code length


@pytest.mark.parametrize("channels", [1, 3])
def test_an_even_image_has_a_shorter_code_than_a_gradient_and_that_than_noise(channels):
    plain = torch.zeros(channels, 16, 24, dtype=torch.uint8)
    gradient = torch.arange(24, dtype=torch.uint8).expand(channels, 16, 24)
    random = torch.randint(256, plain.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    lengths = code_length(torch.stack([plain, gradient, random]), 256).tolist()
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[1] < lengths[2] / 4


def test_only_the_pixels_of_incompressible_noise_are_counted():
    # the pixels, one filter byte per row, and the 11 bytes that zlib adds
    assert code_length(noise(1), 256).item() == 8 * (DIMS + 8 + 11)


def test_the_code_is_the_shortest_file_of_pillow_without_what_every_file_contains():
    rows, columns = torch.arange(32)[:, None], torch.arange(48)
    pixels = (rows * columns // 7 % 256).to(torch.uint8)[None]
    file = io.BytesIO()
    to_image(pixels, 256).save(file, format="PNG", optimize=True)
    others = 8 + 25 + 12 + 12  # signature, header, overhead of the pixel chunk, end
    assert code_length(pixels[None], 256).item() == 8 * (len(file.getvalue()) - others)


# Scores


def test_scores_equal_a_case_worked_by_hand():
    pixels = noise(3)
    scores = ood_scores(nats(9, 3, 4.5), pixels, 256, mean_bits=4)
    assert tuple(scores) == SCORES
    assert scores["likelihood"].tolist() == pytest.approx([9, 3, 4.5])
    assert scores["typicality"].tolist() == pytest.approx([5, 1, 0.5])
    length = code_length(pixels, 256) / DIMS
    torch.testing.assert_close(scores["complexity"], torch.tensor([9, 3, 4.5], dtype=torch.float64) - length)


def test_the_complexity_score_is_zero_where_the_likelihood_equals_the_code_length():
    plain = torch.zeros(1, 3, 8, 12, dtype=torch.uint8)
    pixels = torch.cat([plain, noise(1)])
    bits = code_length(pixels, 256) / DIMS
    scores = ood_scores(nats(*bits.tolist()), pixels, 256, mean_bits=0)
    assert scores["likelihood"][0] < scores["likelihood"][1] / 4
    torch.testing.assert_close(scores["complexity"], torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)


# Limits


def test_a_limit_is_the_rank_that_one_new_image_in_a_hundred_exceeds():
    bits = torch.arange(199) / 10
    reference = fit_ood_reference(nats(*bits.tolist()), noise(199), 256)
    assert reference.bits_per_dim == pytest.approx(9.9)
    assert reference.limits["likelihood"] == pytest.approx(19.7)  # the 198th of 199: ceil(200 x 0.99)
    assert reference.limits["typicality"] == pytest.approx(9.9)  # 0.1 twice, ..., 9.9 twice
    assert set(reference.limits) == set(SCORES)


def test_fewer_than_99_images_give_no_limit():
    assert set(fit_ood_reference(nats(*range(98)), noise(98), 256).limits.values()) == {None}
    assert fit_ood_reference(nats(*range(99)), noise(99), 256).limits["likelihood"] == pytest.approx(98)  # the largest


def test_one_new_image_in_a_hundred_exceeds_a_limit(monkeypatch):
    monkeypatch.setattr(ood, "code_length", lambda pixels, levels: torch.zeros(len(pixels)))  # saves 6000 compressions
    generator = torch.Generator().manual_seed(0)
    black = torch.zeros(99, 1, 1, 1, dtype=torch.uint8)
    alarms = 0
    for _ in range(60):
        held_out, new = torch.randn(2, 99, generator=generator, dtype=torch.float64)
        reference = fit_ood_reference(held_out, black, 256)
        alarms += sum(map(bool, exceeded_limits({"likelihood": -new / math.log(2)}, reference)))
    assert alarms / (60 * 99) == pytest.approx(0.01, abs=0.004)


def test_an_image_is_flagged_by_each_score_that_exceeds_its_limit():
    scores = {"likelihood": torch.tensor([1.0, 5.0, 3.0]), "typicality": torch.tensor([2.0, 2.0, 0.0])}
    reference = OODReference(bits_per_dim=3, limits={"likelihood": 3.0, "complexity": 0.0, "typicality": None})
    assert exceeded_limits(scores, reference) == [(), ("likelihood",), ()]


# Separation


def test_the_area_is_one_for_separated_sets_a_half_for_equal_sets_and_mirrored_for_exchanged_sets():
    low, high = torch.arange(30) / 30, torch.arange(20) / 20 + 1
    assert auroc(low, high).auroc == 1
    assert auroc(high, low).auroc == 0
    assert auroc(low, low).auroc == pytest.approx(0.5)
    some = torch.randn(25, generator=torch.Generator().manual_seed(0)).double()
    there, back = auroc(some, some[:9] + 0.5), auroc(some[:9] + 0.5, some)
    assert there.auroc == pytest.approx(1 - back.auroc)
    assert there.auroc_interval == pytest.approx((1 - back.auroc_interval[1], 1 - back.auroc_interval[0]))


def test_the_area_equals_a_case_worked_by_hand():
    found = auroc(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0, 3.0]))  # of six pairs 3 are higher, 1 is equal
    assert found.auroc == pytest.approx(3.5 / 6)
    assert (found.n_in_distribution, found.n_ood) == (2, 3)


@pytest.mark.parametrize(("low", "high"), [([0.0] * 30, [1.0] * 20), ([0.0, 1.0] * 15, [0.5, 1.5] * 10)])
def test_at_the_ends_of_the_interval_the_z_test_begins_to_reject(low, high):
    found = auroc(torch.tensor(low), torch.tensor(high))
    n, m = 30, 20
    for theta in found.auroc_interval:
        if theta not in (0, 1):
            half = (n + m) / 2 - 1
            variance = (
                theta * (1 - theta) * (1 + half * (1 - theta) / (2 - theta) + half * theta / (1 + theta)) / (n * m)
            )
            assert abs(found.auroc - theta) == pytest.approx(1.959964 * variance**0.5, rel=1e-5)


def test_the_interval_of_separated_sets_has_a_positive_width():
    low, high = auroc(torch.zeros(30), torch.ones(20)).auroc_interval
    assert 0.8 < low < 0.95
    assert high == 1


def test_the_interval_contains_the_true_area_ninety_five_times_in_a_hundred():
    generator = torch.Generator().manual_seed(0)
    truth = 0.5 * (1 + math.erf(1 / 2))  # of N(0, 1) and N(1, 1): P(N(1, 2) > 0)
    contained = 0
    for _ in range(150):
        scores, others = torch.randn(2, 40, generator=generator, dtype=torch.float64)
        low, high = auroc(scores, others + 1).auroc_interval
        contained += low <= truth <= high
    assert contained >= 136  # 142 are expected, with a standard deviation of 3


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="3 in-distribution scores and 0 OOD scores"):
        auroc(torch.ones(3), torch.ones(0))
