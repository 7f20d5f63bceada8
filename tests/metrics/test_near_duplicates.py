import math

import pytest
import torch

from pixelbayes.metrics.near_duplicates import find_near_duplicates


def independent(count, dims, seed=0):
    """Images that are uniform in a cube, as uint8 (N, 1, 1, D)."""
    generator = torch.Generator().manual_seed(seed)
    return (256 * torch.rand(count, 1, 1, dims, generator=generator)).to(torch.uint8)


def test_copies_with_a_little_noise_are_grouped_in_order_of_their_first_image():
    images = independent(300, 24)
    noise = torch.randint(-6, 7, (3, 1, 1, 24), generator=torch.Generator().manual_seed(1))
    copies = (images[[7, 40, 7]].int() + noise).clamp(0, 255).to(torch.uint8)
    found = find_near_duplicates(torch.cat([images, copies]))
    assert [group.tolist() for group in found.groups] == [[7, 300, 302], [40, 301]]
    assert found.group[:8].tolist() == list(range(8))
    assert found.ratio[[7, 40, 300, 301, 302]].max() < found.threshold < found.ratio[:7].min()


def test_independent_images_have_a_near_duplicate_about_as_rarely_as_promised():
    alarms = [bool(find_near_duplicates(independent(200, 8, seed)).groups) for seed in range(40)]
    assert sum(alarms) <= 10  # 4 expected; more than 10 has a probability below 0.001


def test_the_intrinsic_dimension_is_that_of_the_images_and_not_the_number_of_pixels():
    generator = torch.Generator().manual_seed(0)
    plane = torch.rand(500, 2, generator=generator) @ torch.rand(2, 30, generator=generator)
    found = find_near_duplicates((100 * plane).reshape(500, 1, 5, 6))
    assert math.isclose(found.intrinsic_dimension, 2, rel_tol=0.15)


def test_the_scale_is_the_distance_to_the_tenth_nearest_image():
    images = independent(40, 6)
    distances = torch.cdist(images.flatten(1).double(), images.flatten(1).double()).sort(dim=1).values
    torch.testing.assert_close(find_near_duplicates(images).scale, distances[:, 10])  # the 0th is the image itself


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_equal_images_are_near_duplicates_in_a_set_of_any_size(count):
    images = independent(count, 20)
    assert not find_near_duplicates(images).groups
    doubled = find_near_duplicates(torch.cat([images, images[-1:]]))
    assert [group.tolist() for group in doubled.groups] == [[count - 1, count]]
    assert find_near_duplicates(images[:1].expand(count, -1, -1, -1)).group.unique().tolist() == [0]
