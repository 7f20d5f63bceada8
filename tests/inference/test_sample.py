import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.inference import Given, sample, sample_class, sample_classes, sampling_noise


def small(fusion="film", **changes):
    return randomised(tiny_model(fusion, **{"image_size": (3, 5), "levels": 256} | changes))


def test_a_series_is_the_same_whatever_the_batch_size_and_goes_on_where_it_was_shorter():
    model = small()
    series = sample_class(model, 1, 5, seed=3, batch_size=2)
    assert series.shape == (5, 3, 3, 5)
    assert series.dtype == torch.uint8
    assert torch.equal(series, sample_class(model, 1, 5, seed=3))
    assert torch.equal(series[:3], sample_class(model, 1, 3, seed=3))


def test_seed_step_and_class_each_draw_other_images():
    model = small("none")  # the classes differ by their noise alone
    series = [sample_class(model, label, 2, seed=seed) for label in (-1, 0, 1) for seed in (0, 1)]
    assert len(torch.cat(series).flatten(1).unique(dim=0)) == 12
    noise = [sampling_noise(model, 0, torch.arange(2), step) for step in (0, 1)]
    assert not torch.equal(*noise)


def test_every_value_lies_on_the_levels():
    model = small(levels=3)
    assert set(sample_class(model, 0, 8).unique().tolist()) == {0, 1, 2}


def test_the_cached_series_is_the_plain_one_with_a_given_part_too():
    model = small()
    for given in (None, Given(random_images(1, model.config), 6)):
        how = {"seed": 4, "given": given, "guidance": 0.5}
        plain = sample_classes(model, [0, -1], 3, plain=True, batch_size=6, **how)
        assert torch.equal(sample_classes(model, [0, -1], 3, batch_size=4, **how), plain)


@pytest.mark.parametrize(("batch_size", "batches"), [(2, 3), (4, 2), (100, 1)])
def test_progress_counts_the_rows_of_all_batches(batch_size, batches):
    seen = []

    def track(items):
        assert len(items) == 3 * batches
        for item in items:
            seen.append(item)
            yield item
        seen.append("end")

    sample_classes(small(), [0, 1, 2], 2, batch_size=batch_size, track=track)
    assert seen == [*range(3 * batches), "end"]


@pytest.mark.parametrize(("labels", "count"), [([], 1), ([0], 0)])
def test_nothing_to_draw_is_refused(labels, count):
    with pytest.raises(ValueError, match="expected at least one of each"):
        sample_classes(small(), labels, count)


def test_a_series_of_classes_is_guided_too():
    model = small("gate-add", image_size=(2, 3))
    series = sample_class(model, 1, 3, seed=3, guidance=2.0)
    noise = sampling_noise(model, 3, torch.arange(3) + (1 << 32))
    assert torch.equal(series, sample(model, torch.ones(3).long(), noise, guidance=2.0))
    assert not torch.equal(series, sample_class(model, 1, 3, seed=3))
