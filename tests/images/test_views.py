import itertools

import torch

from pixelbayes.images.views import COUNTS, HFLIP, TRANSPOSE, VFLIP, apply_view

IMAGE = torch.arange(3 * 4 * 4).view(1, 3, 4, 4)


def views_of(image, count):
    return [apply_view(image, torch.tensor([view])) for view in range(count)]


def test_the_eight_views_are_the_symmetries_of_the_square():
    views = views_of(IMAGE, 8)
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(views, 2))
    symmetries = [torch.rot90(image, k, (2, 3)) for image in (IMAGE, IMAGE.flip(3)) for k in range(4)]
    assert all(any(torch.equal(view, symmetry) for symmetry in symmetries) for view in views)


def test_the_first_1_2_4_or_8_views_are_a_group():
    for count in COUNTS:
        views = views_of(IMAGE, count)
        for again in itertools.chain.from_iterable(views_of(view, count) for view in views):
            assert any(torch.equal(again, view) for view in views)


def test_a_view_transposes_before_it_flips():
    for bit, axis in ((HFLIP, 3), (VFLIP, 2)):
        assert torch.equal(apply_view(IMAGE, torch.tensor([TRANSPOSE + bit])), IMAGE.transpose(2, 3).flip(axis))


def test_four_views_preserve_height_and_width():
    assert {view.shape for view in views_of(torch.zeros(1, 1, 3, 5), 4)} == {(1, 1, 3, 5)}


def test_each_image_of_a_batch_has_its_own_view():
    batch = IMAGE.repeat(8, 1, 1, 1)
    assert torch.equal(apply_view(batch, torch.arange(8)), torch.cat(views_of(IMAGE, 8)))
