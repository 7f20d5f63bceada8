import numpy as np
import pytest
import scipy.linalg
import torch

from pixelbayes.metrics.fid import Moments, frechet_distance
from pixelbayes.utils.errors import InputError


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(mean, covariance):
    return Moments(torch.as_tensor(mean, dtype=torch.float64), torch.as_tensor(covariance, dtype=torch.float64), n=10)


def random_gaussian(dims, seed):
    factor = normal(dims, dims, seed=seed)
    return gaussian(normal(dims, seed=seed + 100), factor @ factor.T)


def rotation(dims):
    return torch.linalg.qr(normal(dims, dims, seed=7)).Q


def distance(a, b):
    return frechet_distance(Moments.of(a), Moments.of(b))


def test_moments_are_those_of_numpy():
    features = normal(9, 4)
    moments = Moments.of(features.float())
    np.testing.assert_allclose(moments.mean, features.mean(dim=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(moments.covariance, np.cov(features.numpy(), rowvar=False), rtol=1e-5, atol=1e-6)
    assert (moments.n, moments.mean.dtype, moments.covariance.dtype) == (9, torch.float64, torch.float64)


def test_in_one_dimension_it_is_the_squared_difference_of_means_plus_that_of_standard_deviations():
    assert frechet_distance(gaussian([1.0], [[4.0]]), gaussian([-2.0], [[25.0]])) == pytest.approx(3**2 + 3**2)


@pytest.mark.parametrize("rotated", [False, True])
def test_for_commuting_covariances_it_sums_the_squared_differences_of_root_eigenvalues(rotated):
    q = rotation(4) if rotated else torch.eye(4).double()
    of_a, of_b = torch.tensor([[1.0, 4.0, 9.0, 0.0], [16.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    mean_a, mean_b = normal(4, seed=1), normal(4, seed=2)
    found = frechet_distance(gaussian(mean_a, q * of_a @ q.T), gaussian(mean_b, q * of_b @ q.T))
    assert found == pytest.approx(float((mean_a - mean_b).square().sum() + 9 + 1 + 9), abs=1e-9)


@pytest.mark.parametrize("dims", [1, 2, 5, 32])
def test_it_equals_the_formula_with_the_matrix_square_root_of_scipy(dims):
    a, b = random_gaussian(dims, 1), random_gaussian(dims, 2)
    root = scipy.linalg.sqrtm((a.covariance @ b.covariance).numpy())
    assert np.abs(np.imag(root)).max() < 1e-6
    means = float((a.mean - b.mean).square().sum())
    expected = means + float(a.covariance.trace() + b.covariance.trace()) - 2 * np.trace(np.real(root))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("count", "dims"), [(200, 3), (5, 64), (2, 192), (40, 1)])
def test_the_distance_of_a_set_to_itself_is_zero_even_with_fewer_images_than_dimensions(count, dims):
    features = 10 * normal(count, dims) + 3
    assert 0 <= distance(features, features) <= 1e-9
    assert 0 <= distance(features, features.flip(0)) <= 1e-9


def test_with_fewer_images_than_dimensions_it_equals_a_formula_without_a_covariance():
    """The roots of the eigenvalues of S_a S_b are the singular values of the centred images' products."""
    a, b = normal(7, 50, seed=1).cumsum(dim=1), normal(9, 50, seed=2).cumsum(dim=1)
    of_a, of_b = ((each - each.mean(dim=0)) / (len(each) - 1) ** 0.5 for each in (a, b))
    traces = of_a.square().sum() + of_b.square().sum() - 2 * torch.linalg.matrix_norm(of_a @ of_b.T, "nuc")
    assert distance(a, b) == pytest.approx(float((a.mean(0) - b.mean(0)).square().sum() + traces), rel=1e-12)


def test_a_shift_adds_only_its_square():
    features, shift = normal(6, 9), torch.arange(9).double()
    assert distance(features, features + shift) == pytest.approx(float(shift.square().sum()))


def test_a_common_rotation_and_shift_changes_nothing():
    a, b, q = normal(12, 5, seed=1), 2 * normal(7, 5, seed=2), rotation(5)
    assert distance(a @ q + 3, b @ q + 3) == pytest.approx(distance(a, b))
    assert distance(b, a) == pytest.approx(distance(a, b))


def test_constant_dimensions_add_nothing():
    a, b = random_gaussian(3, 1), random_gaussian(3, 2)
    wide = [
        gaussian(torch.nn.functional.pad(each.mean, (0, 40)), torch.nn.functional.pad(each.covariance, (0, 40, 0, 40)))
        for each in (a, b)
    ]
    assert frechet_distance(*wide) == pytest.approx(frechet_distance(a, b), abs=1e-9)


def test_for_sets_that_vary_in_different_dimensions_the_variances_add_up():
    a, b = normal(4, 6, seed=1), normal(3, 6, seed=2)
    a[:, 3:], b[:, :3] = 0, 0
    variance = a.var(dim=0).sum() + b.var(dim=0).sum()
    assert distance(a, b) == pytest.approx(float((a.mean(0) - b.mean(0)).square().sum() + variance))


def test_sets_of_equal_images_are_points():
    a, b = torch.full((4, 3), 2.0), torch.full((5, 3), 4.0)
    assert distance(a, b) == pytest.approx(12)
    assert distance(a, normal(5, 3)) == pytest.approx(
        float((normal(5, 3).mean(0) - 2).square().sum() + normal(5, 3).var(0).sum())
    )


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images_for_a_covariance_are_refused(count):
    with pytest.raises(InputError, match=f"a covariance needs 2 or more images, got {count}"):
        Moments.of(torch.zeros(count, 3))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e200])
def test_features_without_a_finite_covariance_are_refused(value):
    with pytest.raises(InputError, match="not finite, or too large to be squared"):
        Moments.of(torch.tensor([[0.0], [value]], dtype=torch.float64))


def test_moments_that_are_not_finite_are_refused():
    for mean, covariance in (([float("nan")], [[1.0]]), ([0.0], [[float("inf")]])):
        with pytest.raises(InputError, match="not finite"):
            gaussian(mean, covariance)


def test_moments_that_are_too_large_are_refused():
    far, wide = gaussian([1e200, 0.0], torch.eye(2)), gaussian([0.0, 0.0], [[1e308, 0.0], [0.0, 1e308]])
    for a, b in ((far, wide), (wide, wide)):
        with pytest.raises(InputError, match="too large to be squared"):
            frechet_distance(a, b)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"features have shape \(2, 3, 4\), expected \(N, D\)"):
        Moments.of(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match="3 and 4 dimensions"):
        frechet_distance(random_gaussian(3, 1), random_gaussian(4, 1))
