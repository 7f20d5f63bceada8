from dataclasses import replace

import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.inference import (
    CachedSampler,
    Prefix,
    SamplingConfig,
    sample,
    sample_class,
    sample_classes,
    sample_images,
    sample_reference,
    sampling_noise,
)


def small(fusion="film", **changes):
    return randomised(tiny_model(fusion, **{"image_size": (3, 5), "levels": 256} | changes))


def test_a_sample_depends_neither_on_the_batch_size_nor_on_the_number_of_samples():
    model = small()
    samples = sample_class(model, 1, SamplingConfig(count=5, seed=3, batch_size=2))
    assert samples.shape == (5, 3, 3, 5)
    assert samples.dtype == torch.uint8
    assert torch.equal(samples, sample_class(model, 1, SamplingConfig(count=5, seed=3)))
    assert torch.equal(samples[:3], sample_class(model, 1, SamplingConfig(count=3, seed=3)))
    chosen = sample_images(model, torch.tensor([1, 0, 1]), torch.tensor([4, 0, 1]), SamplingConfig(seed=3))
    assert torch.equal(chosen[[0, 2]], samples[[4, 1]])


def test_seed_step_and_class_each_give_other_samples():
    model = small("none")  # the classes differ only by their noise
    samples = [sample_class(model, label, SamplingConfig(count=2, seed=s)) for label in (-1, 0, 1) for s in (0, 1)]
    assert len(torch.cat(samples).flatten(1).unique(dim=0)) == 12
    noise = [sampling_noise(model, 0, torch.arange(2), step) for step in (0, 1)]
    assert not torch.equal(*noise)


def test_every_value_is_one_of_the_levels():
    model = small(levels=3)
    assert set(sample_class(model, 0, SamplingConfig(count=8)).unique().tolist()) == {0, 1, 2}


@pytest.mark.parametrize("num_known", [None, 6])
def test_cached_samples_are_those_of_the_reference_sampler(num_known):
    model = small()
    prefix = None if num_known is None else Prefix(random_images(1, model.config), num_known)
    settings = {"count": 3, "seed": 4, "guidance": 0.5}
    reference = SamplingConfig(**settings, reference=True, batch_size=6)
    expected = sample_classes(model, [0, -1], reference, prefix=prefix)
    assert expected.shape == (2, 3, 3, 3, 5)
    assert torch.equal(
        sample_classes(model, [0, -1], SamplingConfig(**settings, batch_size=4), prefix=prefix), expected
    )


def test_the_settings_and_the_class_determine_the_samples():
    model = small("gate-add", image_size=(2, 3))
    config = SamplingConfig(count=3, seed=3, guidance=2.0, temperature=0.8)
    noise = sampling_noise(model, 3, torch.arange(3) + (1 << 32))
    samples = sample_class(model, 1, config)
    assert torch.equal(samples, sample_reference(model, torch.ones(3).long(), noise, config))
    assert not torch.equal(samples, sample_class(model, 1, SamplingConfig(count=3, seed=3)))


def test_the_sampling_step_is_compiled_from_a_number_of_steps_on_or_on_request(monkeypatch):
    compiled = []

    class Sampler(CachedSampler):
        def __init__(self, network, batch, config):
            compiled.append(config.compile)
            super().__init__(network, batch, replace(config, compile=False))

    monkeypatch.setattr(sample, "CachedSampler", Sampler)
    monkeypatch.setattr(sample, "STEPS_WORTH_COMPILING", 30)
    for count, request in ((1, None), (2, None), (2, False), (1, True)):  # 15 steps per batch of 1 image
        sample_class(small(), 0, SamplingConfig(count=count, batch_size=1, compile=request))
    assert compiled == [False, True, False, True]


@pytest.mark.parametrize(("batch_size", "batches"), [(2, 3), (4, 2), (100, 1)])
def test_progress_counts_the_rows_of_all_batches(batch_size, batches):
    seen = []

    def track(items):
        assert len(items) == 3 * batches
        for item in items:
            seen.append(item)
            yield item
        seen.append("end")

    sample_classes(small(), [0, 1, 2], SamplingConfig(count=2, batch_size=batch_size), track=track)
    assert seen == [*range(3 * batches), "end"]


def test_sampling_no_class_or_unequal_numbers_of_labels_and_indices_is_rejected():
    with pytest.raises(ValueError, match="0 labels for 0 images, expected one or more of each"):
        sample_classes(small(), [])
    with pytest.raises(ValueError, match="2 labels for 3 images"):
        sample_images(small(), torch.zeros(2).long(), torch.arange(3))
