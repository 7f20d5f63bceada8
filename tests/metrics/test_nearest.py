import pytest
import torch

from pixelbayes.metrics.nearest import nearest


def random_pixels(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, 4, 6), generator=generator, dtype=torch.uint8)


def test_a_copy_is_found_at_distance_zero_and_nothing_else_is():
    training = random_pixels(40, 1)
    almost = training[17].clone()
    almost[2, 3, 5] ^= 1  # one level of one colour of one pixel
    found = nearest(torch.stack((training[23], almost)), training)
    assert found.index.tolist() == [23, 17]
    assert found.distance.tolist() == [0, pytest.approx((1 / 72) ** 0.5)]


def test_distances_are_scaled_root_mean_squares():
    black, grey, white = (torch.full((1, 1, 2, 3), level, dtype=torch.uint8) for level in (0, 1, 2))
    found = nearest(torch.cat((black, white)), grey, scale=2 / (3 - 1))
    assert found.distance.tolist() == [1, 1]
    half = white.clone()
    half[..., 0, :] = 0
    assert nearest(half, white, scale=1).distance.item() == pytest.approx(2 * 0.5**0.5)


def test_the_first_of_several_equal_references_is_found():
    training = random_pixels(5, 1).repeat(3, 1, 1, 1)
    assert nearest(training, training, chunk=4).index.tolist() == [0, 1, 2, 3, 4] * 3


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_chunks_change_nothing(chunk):
    rows, references = random_pixels(8, 1), random_pixels(11, 2)
    distances = (rows[:, None].double() - references.double()).square().flatten(2).mean(dim=2).sqrt()
    found = nearest(rows, references, chunk=chunk)
    assert found.index.tolist() == distances.argmin(dim=1).tolist()
    torch.testing.assert_close(found.distance, distances.amin(dim=1))


def test_features_are_searched_like_images():
    references = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    found = nearest(torch.tensor([[3.0, 3.0], [0.5, 0.5]]), references)
    assert found.index.tolist() == [1, 0]
    torch.testing.assert_close(found.distance, torch.tensor([0.5**0.5, 0.5]).double())


def test_shapes_that_do_not_fit_are_refused():
    for references in (random_pixels(0, 1), random_pixels(2, 1)[:, :1]):
        with pytest.raises(ValueError, match="expected"):
            nearest(random_pixels(2, 1), references)
