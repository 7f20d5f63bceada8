import pytest
import torch

from pixelbayes.utils.randomness import Key, permutation

INDEX = torch.arange(50)
SEEDS = [0, 1, -1, 2**31, 2**63 - 1, -(2**63)]


def key(seed=0, stream="dropout", step=0, index=INDEX):
    return Key.of(seed, stream, step, index)


def test_the_bits_agree_with_published_values_of_splitmix64():
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    words = Key(torch.tensor([1234567])).bits(5)[0].tolist()
    assert [word % 2**64 for word in words] == published


def test_the_numbers_of_an_image_do_not_depend_on_the_size_and_order_of_its_batch():
    among_others = key(index=torch.tensor([3, 40, 7])).uniform(2, 5)
    alone = key(index=torch.tensor([7])).uniform(2, 5)
    assert torch.equal(among_others[2:], alone)
    assert torch.equal(key().uniform(2, 5)[7:8], alone)


def test_each_seed_stream_step_and_image_has_a_different_key():
    keys = [key(seed, stream, step) for seed in SEEDS for stream in ("dropout", "sampling") for step in (0, 1, 2)]
    states = torch.cat([one.state for one in keys])
    assert len(states.unique()) == len(SEEDS) * 2 * 3 * len(INDEX)


def test_folding_different_words_gives_different_keys_and_the_same_word_the_same_key():
    states = torch.stack([key().fold(word).state for word in (0, 1, 2, 1000, -1)])
    assert len(states.unique()) == states.numel()
    assert torch.equal(states[1], key().fold(1).state)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_uniform(seed, dtype):
    uniform = key(seed).uniform(400, dtype=dtype).double().flatten()
    assert uniform.min() >= 0
    assert uniform.max() < 1
    steps = torch.arange(1, len(uniform) + 1) / len(uniform)
    distance = (uniform.sort().values - steps).abs().max()  # the statistic of Kolmogorov and Smirnov
    assert distance < 1.95 / len(uniform) ** 0.5  # exceeded by one seed in a thousand


@pytest.mark.parametrize("seed", SEEDS)
def test_streams_of_different_images_seeds_and_words_are_uncorrelated(seed):
    keys = [key(seed), key(seed ^ 1), key(seed, "sampling"), key(seed, step=1), key(seed).fold(0), key(seed).fold(1)]
    numbers = torch.cat([one.uniform(1000, dtype=torch.float64) for one in keys])  # one row per image and key
    correlation = torch.corrcoef(numbers).fill_diagonal_(0)
    assert correlation.abs().max() < 6 / 1000**0.5  # six standard deviations, of 45 000 pairs


def test_successive_numbers_of_a_stream_are_uncorrelated():
    numbers = key().uniform(1000, dtype=torch.float64) - 0.5
    for lag in (1, 2, 3, 64):
        assert (numbers[:, lag:] * numbers[:, :-lag]).mean() * 12 < 5 / numbers.numel() ** 0.5


def test_a_float32_number_is_the_float64_number_truncated_to_24_bits():
    fine, coarse = key().uniform(7, 3, dtype=torch.float64), key().uniform(7, 3)
    assert torch.equal((fine * 2**24).floor() / 2**24, coarse.double())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_normal(seed, dtype):
    numbers = key(seed).normal(20, 20, dtype=dtype)
    assert numbers.dtype == dtype
    uniform = torch.special.ndtr(numbers.double()).flatten().sort().values
    steps = torch.arange(1, len(uniform) + 1) / len(uniform)
    assert (uniform - steps).abs().max() < 1.95 / len(uniform) ** 0.5  # exceeded by one seed in a thousand


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_smallest_and_the_largest_uniform_number_give_finite_and_opposite_normal_numbers(dtype, monkeypatch):
    largest = 1 - 2.0 ** (-53 if dtype == torch.float64 else -24)
    monkeypatch.setattr(Key, "uniform", lambda self, *shape, dtype: torch.tensor([0.0, 0.5, largest], dtype=dtype))
    low, middle, high = key().normal(3, dtype=dtype).tolist()
    assert low == -high
    assert 5 < high < 9
    assert 0 < middle < 1e-6


def test_normal_numbers_in_half_precision_are_rounded_from_float32():
    assert torch.equal(key().normal(9, dtype=torch.bfloat16), key().normal(9).bfloat16())


@pytest.mark.parametrize("probability", [0.0, 1e-6, 0.1, 0.5, 0.9, 1 - 1e-6, 1.0])
def test_masks_are_1_with_the_given_probability(probability):
    for mask in key().keep(probability, 3, 333, 5):
        assert mask.shape == (50, 3, 333, 5)
        deviation = (probability * (1 - probability) / mask.numel()) ** 0.5
        assert abs(mask.double().mean() - probability) <= 4 * deviation + 2**-17


def test_masks_of_neighbouring_positions_images_steps_and_streams_and_the_two_masks_are_independent():
    first, second = (mask.double() for mask in key().keep(0.5, 400, 5))
    others = [second, first.roll(1, dims=1), first.roll(1, dims=2), first.roll(1, dims=0)]
    others += [changed.keep(0.5, 400, 5)[0].double() for changed in (key(step=1), key(stream="b"), key().fold(0))]
    for other in others:
        agreement = (first == other).double().mean()
        assert abs(agreement - 0.5) < 4 * 0.5 / first.numel() ** 0.5


def test_normal_numbers_and_masks_do_not_depend_on_the_rest_of_the_batch():
    one = key(index=torch.tensor([7]))
    together = (key().normal(3, 5), *key().keep(0.5, 3, 5))
    alone = (one.normal(3, 5), *one.keep(0.5, 3, 5))
    assert all(torch.equal(some[7:8], single) for some, single in zip(together, alone, strict=True))


def test_a_permutation_contains_every_image_once_and_depends_on_epoch_seed_and_stream():
    first = permutation(0, "order", 0, 100)
    assert torch.equal(first.sort().values, torch.arange(100))
    assert torch.equal(first, permutation(0, "order", 0, 100))
    for other in (permutation(0, "order", 1, 100), permutation(1, "order", 0, 100), permutation(0, "views", 0, 100)):
        assert (first == other).sum() < 10  # two random orders agree in one position on average


def test_a_permutation_may_be_empty():
    assert permutation(0, "order", 0, 0).tolist() == []
