import json
import math

import pytest
import torch
from measured import NAMES, SHAPE, random_split
from networks import random_images, tiny_model

from pixelbayes.data import Split
from pixelbayes.evaluation.sample_quality import measure_quality
from pixelbayes.features.classifier import ClassifierFeatures, ConditionalAccuracy
from pixelbayes.metrics.fid import Moments, frechet_distance
from pixelbayes.metrics.kid import kernel_distance
from pixelbayes.utils.errors import InputError

LEVELS = SHAPE.levels


@pytest.fixture
def samples():
    return random_images(12, tiny_model().config, seed=9).unflatten(0, (3, 4))


@pytest.fixture
def measured(classifier, samples):
    def measure(samples=samples, names=NAMES, **how):
        how = {"reference_name": "test", "extractor": ClassifierFeatures(classifier)} | how
        return measure_quality(samples, LEVELS, names, **how)

    return measure


def test_distances_are_those_of_the_features_overall_and_of_each_class(classifier, samples, measured):
    reference = random_split(*[0, 1, 2, 1] * 5)
    found = measured(reference=reference, seed=3)
    embed = ClassifierFeatures(classifier)
    drawn, real = embed(samples.flatten(0, 1), LEVELS), embed(reference.pixels, LEVELS)
    pairs = {None: (drawn, real)}
    pairs |= {name: (drawn[4 * c : 4 * c + 4], real[reference.labels == c]) for c, name in enumerate(NAMES)}
    for name, (a, b) in pairs.items():
        distance = found.per_class[name] if name else found.overall
        kid = kernel_distance(a, b, seed=3)
        assert distance.fid == pytest.approx(frechet_distance(Moments.of(a), Moments.of(b)))
        assert distance.kid == pytest.approx(kid.mean)
        assert distance.kid_deviation == pytest.approx(kid.deviation)
        assert (distance.n, distance.n_reference, distance.reason) == (len(a), len(b), None)


def test_the_reference_itself_has_distance_zero(measured):
    reference = random_split(*[0] * 4, *[1] * 4, *[2] * 4)
    found = measured(reference.pixels.unflatten(0, (3, 4)), reference=reference)
    assert [each.fid for each in (found.overall, *found.per_class.values())] == pytest.approx([0] * 4, abs=1e-9)


def test_a_class_with_too_few_real_images_has_a_reason_instead_of_a_distance(measured):
    found = measured(reference=random_split(-1, -1, 1, 2, 2))
    assert found.overall.fid > 0
    assert found.per_class["cow"].fid > 0
    for name, images in (("ant", 0), ("bee", 1)):
        distance = found.per_class[name]
        assert (distance.fid, distance.kid, distance.n, distance.n_reference) == (None, None, 4, images)
        assert distance.reason == f"a covariance needs 2 or more images, got {images}"


def test_without_classes_of_the_samples_there_is_only_an_overall_distance(measured, samples, classifier):
    found = measured(samples.flatten(0, 1)[None], None, reference=random_split(0, 1, 2), classifier=classifier)
    assert found.overall.n == 12
    assert (found.per_class, found.class_agreement) == ({}, None)


def test_a_single_sample_and_images_of_one_colour_have_finite_distances(measured):
    reference = random_split(0, 0, 1, 1, 2, 2)
    one = measured(reference.pixels[::2, None], reference=reference)
    assert one.overall.fid > 0
    assert all(math.isfinite(each.fid) if each.fid is not None else each.reason for each in one.per_class.values())
    flat = measured(torch.zeros(3, 4, 3, 8, 12, dtype=torch.uint8), reference=reference)
    assert all(math.isfinite(each.fid) and each.fid > 0 for each in flat.per_class.values())


def test_the_classifier_measures_class_agreement(measured, samples, classifier):
    found = measured(reference=random_split(0, 1, 2), classifier=classifier)
    assert found.class_agreement == ConditionalAccuracy.of(classifier, samples, LEVELS, NAMES)


def test_copies_of_training_images_are_found_in_pixels_and_features(measured, classifier):
    train = random_split(*[0] * 9, seed=1)
    found = measured(
        train.pixels.unflatten(0, (3, 3)),
        reference=random_split(0, 1, 2),
        train=train,
        held_out=random_split(*[0] * 8, seed=2),
        classifier=classifier,
    ).memorization
    assert found.copies == 9
    assert {space: near.share_below for space, near in found.spaces.items()} == {"pixels": 1, "features": 1}


def test_the_result_converts_to_json(measured, classifier):
    reference = random_split(0, 0, 1, 1, 2)
    found = measured(reference=reference, train=reference, held_out=reference, classifier=classifier).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["extractor"] == found["extractor"]
    assert (found["reference"], found["n"], found["n_reference"]) == ("test", 12, 5)
    assert (found["image_size"], found["levels"]) == ([8, 12], LEVELS)
    assert set(found["per_class"]) == set(NAMES)
    assert set(found["memorization"]) == {"pixels", "features"}
    assert found["copies"] == 0
    bare = measured(reference=reference).as_dict()
    assert (bare["memorization"], bare["copies"], bare["class_agreement"]) == (None, None, None)


class MeanColour:
    """An extractor for images of any size."""

    name, dims = "mean-colour", 3

    def __call__(self, pixels, levels, track=None):
        return pixels.double().mean(dim=(2, 3))


def test_real_images_may_have_another_size_if_the_extractor_accepts_it(measured, samples):
    reference = random_split(0, 0, 1, 1, 2, 2)
    doubled = Split(reference.pixels.repeat(1, 1, 2, 2), reference.labels, reference.names)
    flat = samples.flatten(0, 1)[None]
    same, larger = (measured(flat, None, reference=images, extractor=MeanColour()) for images in (reference, doubled))
    assert larger.overall.fid == pytest.approx(same.overall.fid)
    assert larger.image_size == (8, 12)


def test_images_of_another_shape_and_empty_splits_are_refused(measured):
    wrong = random_split(0, 1, 2)
    narrow = Split(wrong.pixels[..., :11], wrong.labels, wrong.names)
    for how, message in (
        (
            {"reference": narrow},
            "images have 8 x 11 pixels, .*, the dedicated classifier takes 8 x 12",
        ),
        (
            {"reference": wrong, "train": narrow},
            r"samples have shape \(3, 8, 12\), the training images \(3, 8, 11\)",
        ),
        ({"reference": wrong, "held_out": narrow}, "the held-out images"),
        ({"reference": narrow, "held_out": narrow, "extractor": MeanColour()}, "the held-out images"),
        ({"reference": Split(wrong.pixels[:0], wrong.labels[:0], ())}, "the test split holds no image"),
    ):
        with pytest.raises(InputError, match=message):
            measured(**how)


def test_samples_that_do_not_fit_their_classes_are_refused(measured, samples):
    for pixels, names in ((samples[:2], NAMES), (samples, None), (samples[0], NAMES)):
        with pytest.raises(ValueError, match=r"expected \(Y, n, C, H, W\)"):
            measured(pixels, names, reference=random_split(0, 1, 2))
