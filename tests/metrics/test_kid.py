from itertools import product
from statistics import fmean

import pytest
import torch

from pixelbayes.metrics.kid import kernel_distance, squared_mmd
from pixelbayes.utils.errors import InputError


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kernel(x, y):
    return (float(x @ y) / len(x) + 1) ** 3


def test_the_squared_mmd_is_the_double_sum_over_pairs_of_different_images():
    a, b = normal(4, 3, seed=1), normal(5, 3, seed=2)
    within = [fmean(kernel(x, y) for i, x in enumerate(each) for j, y in enumerate(each) if i != j) for each in (a, b)]
    across = fmean(kernel(x, y) for x in a for y in b)
    assert squared_mmd(a, b) == pytest.approx(sum(within) - 2 * across)


def test_the_squared_mmd_of_two_points_equals_a_case_worked_by_hand():
    zeros, ones = torch.zeros(2, 5), torch.ones(3, 5)
    assert squared_mmd(zeros, ones) == 1 + 8 - 2 * 1  # k(0, 0), k(1, 1), k(0, 1)


def test_the_mean_over_all_draws_from_two_populations_is_their_distance():
    """The estimate is unbiased: its mean is 0 for equal populations, so some values are negative."""
    population, other = [-1.0, 0.5, 2.0], [0.0, 1.0]

    def expectation(one, two):
        return fmean(
            squared_mmd(torch.tensor(a).view(2, 1), torch.tensor(b).view(2, 1))
            for a in product(one, repeat=2)
            for b in product(two, repeat=2)
        )

    def mean_kernel(one, two):
        return fmean((x * y + 1) ** 3 for x in one for y in two)

    same = expectation(population, population)
    assert same == pytest.approx(0, abs=1e-9)
    assert squared_mmd(torch.tensor([[-1.0], [2.0]]), torch.tensor([[-1.0], [2.0]])) < 0
    true = mean_kernel(population, population) + mean_kernel(other, other) - 2 * mean_kernel(population, other)
    assert expectation(population, other) == pytest.approx(true)


def test_values_of_subsets_vary_around_the_value_of_all_images():
    a, b = normal(40, 4, seed=1), normal(30, 4, seed=2) + 0.5
    found = kernel_distance(a, b, subsets=200, subset_size=20)
    assert abs(found.mean - squared_mmd(a, b)) < 4 * found.deviation / 200**0.5
    assert found.deviation > 0


def test_a_subset_has_half_the_smaller_set_by_default():
    a, b = normal(11, 2, seed=1), normal(9, 2, seed=2)
    assert kernel_distance(a, b, subsets=5) == kernel_distance(a, b, subsets=5, subset_size=4)
    assert kernel_distance(a, b, subsets=5).deviation > 0


def test_a_single_possible_subset_has_no_deviation():
    a, b = normal(3, 2, seed=1), normal(3, 2, seed=2)
    assert kernel_distance(a, b, subset_size=3) == (pytest.approx(squared_mmd(a, b)), None)
    assert kernel_distance(a[:2], b[:2]).deviation is None
    assert kernel_distance(a, b, subsets=1).deviation is None


def test_equal_images_have_the_same_distance_in_every_subset():
    found = kernel_distance(torch.zeros(6, 5), torch.ones(8, 5), subsets=5)
    assert found == (pytest.approx(7), pytest.approx(0, abs=1e-12))


def test_the_subsets_are_a_function_of_the_seed():
    a, b = normal(12, 3, seed=1), normal(10, 3, seed=2)
    first, again, other = (kernel_distance(a, b, subsets=5, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_a_set_of_one_image_is_refused():
    with pytest.raises(InputError, match="KID needs 2 or more images in each set, got 1 and 5"):
        kernel_distance(normal(1, 3), normal(5, 3))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e200])
def test_features_that_cannot_be_cubed_are_refused(value):
    large = torch.full((4, 2), value, dtype=torch.float64)
    for a in (large, large[:2]):
        with pytest.raises(InputError, match="not finite, or too large to be cubed"):
            kernel_distance(a, a, subsets=5)


@pytest.mark.parametrize("how", [{"subset_size": 1}, {"subset_size": 5}, {"subsets": 0}])
def test_subsets_that_cannot_be_drawn_are_refused(how):
    with pytest.raises(ValueError, match="expected 1 or more of 2 to 4 images"):
        kernel_distance(normal(4, 3), normal(6, 3), **how)


def test_features_of_different_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 3\) and \(4, 2\)"):
        squared_mmd(normal(4, 3), normal(4, 2))
