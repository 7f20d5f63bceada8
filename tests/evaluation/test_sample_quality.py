import json
import math

import pytest
import torch
from networks import random_images

from pixelbayes.data import Split
from pixelbayes.evaluation.sample_quality import Distance, measure_quality
from pixelbayes.features.classifier import DomainFeatures, ReadAsAsked
from pixelbayes.metrics.fid import Moments, frechet_distance
from pixelbayes.metrics.kid import kernel_distance
from pixelbayes.utils.errors import InputError

NAMES = ("ant", "bee", "cow")


@pytest.fixture
def split(classifier):
    def make(*labels, seed=0):
        pixels = random_images(len(labels), classifier.network.config, seed)
        return Split(pixels, torch.tensor(labels), tuple(map(str, range(len(labels)))))

    return make


@pytest.fixture
def samples(classifier):
    return random_images(12, classifier.network.config, seed=9).unflatten(0, (3, 4))


@pytest.fixture
def measured(classifier, samples):
    def measure(samples=samples, names=NAMES, **how):
        how = {"reference_name": "test", "extractor": DomainFeatures(classifier)} | how
        return measure_quality(samples, 5, names, **how)

    return measure


def test_figures_are_those_of_the_features_overall_and_of_each_class(classifier, samples, split, measured):
    reference = split(*[0, 1, 2, 1] * 5)
    found = measured(reference=reference, seed=3)
    embed = DomainFeatures(classifier)
    pairs = {None: (samples.flatten(0, 1), reference.pixels)}
    pairs |= {name: (samples[c], reference.pixels[reference.labels == c]) for c, name in enumerate(NAMES)}
    for name, (drawn, real) in pairs.items():
        distance = found.per_class[name] if name else found.overall
        a, b = embed(drawn, 5), embed(real, 5)
        fid, kid = frechet_distance(Moments.of(a), Moments.of(b)), kernel_distance(a, b, seed=3)
        assert distance.fid == pytest.approx(fid)
        assert (distance.kid, distance.kid_deviation) == pytest.approx(kid)
        assert (distance.n, distance.n_reference, distance.reason) == (len(drawn), len(real), None)


def test_the_reference_itself_has_distance_zero(split, measured):
    reference = split(*[0] * 4, *[1] * 4, *[2] * 4)
    found = measured(reference.pixels.unflatten(0, (3, 4)), reference=reference)
    assert [each.fid for each in (found.overall, *found.per_class.values())] == pytest.approx([0] * 4, abs=1e-9)


def test_a_reference_without_labels_has_an_overall_figure_alone(split, measured):
    found = measured(reference=split(*[-1] * 6))
    assert found.overall.fid > 0
    for distance in found.per_class.values():
        assert (distance.fid, distance.kid, distance.n_reference) == (None, None, 0)
        assert distance.reason == "a covariance needs 2 images or more, here are 0"


def test_a_class_with_one_image_has_a_reason_in_place_of_figures(split, measured):
    found = measured(reference=split(0, 0, 1, 2, 2))
    assert found.per_class["bee"] == Distance(4, 1, reason="a covariance needs 2 images or more, here are 1")
    assert found.per_class["cow"].fid > 0


def test_samples_of_no_known_class_have_an_overall_figure_alone(split, measured, samples, classifier):
    found = measured(samples.flatten(0, 1)[None], None, reference=split(0, 1, 2), classifier=classifier)
    assert found.overall.n == 12
    assert (found.per_class, found.read_as_asked) == ({}, None)


def test_one_sample_and_images_of_one_colour_give_no_crash(split, measured):
    reference = split(0, 0, 1, 1, 2, 2)
    one = measured(reference.pixels[::2, None], reference=reference)
    assert one.overall.fid > 0
    assert all(math.isfinite(each.fid) if each.fid is not None else each.reason for each in one.per_class.values())
    flat = measured(torch.zeros(3, 4, 3, 8, 12, dtype=torch.uint8), reference=reference)
    assert all(math.isfinite(each.fid) and each.fid > 0 for each in flat.per_class.values())


def test_the_classifier_tells_how_many_are_read_as_asked(split, measured, samples, classifier):
    found = measured(reference=split(0, 1, 2), classifier=classifier)
    assert found.read_as_asked == ReadAsAsked.of(classifier, samples, 5, NAMES)


def test_copies_of_training_images_are_found_in_pixels_and_features(split, measured, classifier):
    train = split(*[0] * 9, seed=1)
    found = measured(
        train.pixels.unflatten(0, (3, 3)),
        reference=split(0, 1, 2),
        train=train,
        held_out=split(*[0] * 8, seed=2),
        classifier=classifier,
    ).memorising
    assert found.copies == 9
    assert {space: near.share_below for space, near in found.spaces.items()} == {"pixels": 1, "features": 1}


def test_all_is_plain_json(split, measured, classifier):
    reference = split(0, 0, 1, 1, 2)
    found = measured(reference=reference, train=reference, held_out=reference, classifier=classifier).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["extractor"] == found["extractor"]
    assert (found["reference"], found["n"], found["n_reference"]) == ("test", 12, 5)
    assert (found["image_size"], found["levels"]) == ([8, 12], 5)
    assert set(found["per_class"]) == set(NAMES)
    assert set(found["memorising"]) == {"pixels", "features"}
    assert found["copies"] == 0
    bare = measured(reference=reference).as_dict()
    assert (bare["memorising"], bare["copies"], bare["read_as_asked"]) == (None, None, None)


class MeanColour:
    """An extractor that takes images of any size."""

    name, dims = "mean-colour", 3

    def __call__(self, pixels, levels, track=None):
        return pixels.double().mean(dim=(2, 3))


def test_real_images_may_be_of_another_size_where_the_extractor_takes_it(split, measured):
    reference = split(0, 0, 1, 1, 2, 2)
    doubled = Split(reference.pixels.repeat(1, 1, 2, 2), reference.labels, reference.names)
    same, larger = (measured(reference=images, extractor=MeanColour()) for images in (reference, doubled))
    assert larger.overall.fid == pytest.approx(same.overall.fid)
    assert larger.image_size == (8, 12)


def test_real_images_of_another_shape_or_none_are_refused(split, measured):
    wrong = split(0, 1, 2)
    narrow = Split(wrong.pixels[..., :11], wrong.labels, wrong.names)
    for how, message in (
        ({"reference": narrow}, "images are 3 x 8 x 11 with 5 levels, the dedicated classifier takes 3 x 8 x 12"),
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


def test_samples_that_do_not_fit_their_classes_are_refused(split, measured, samples):
    for pixels, names in ((samples[:2], NAMES), (samples, None), (samples[0], NAMES)):
        with pytest.raises(ValueError, match=r"expected \(Y, n, C, H, W\)"):
            measured(pixels, names, reference=split(0, 1, 2))
