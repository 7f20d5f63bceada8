from dataclasses import replace

import pytest
import torch
from networks import random_images

from pixelbayes.features import classifier as room
from pixelbayes.features.classifier import DomainFeatures, ReadAsAsked, read_classes
from pixelbayes.images.pixels import to_x
from pixelbayes.utils.errors import InputError


@pytest.fixture
def pixels(classifier):
    return random_images(7, classifier.network.config)


def test_features_are_what_the_last_layer_reads(classifier, pixels):
    features = DomainFeatures(classifier)(pixels, 5)
    with torch.no_grad():
        logits = classifier.network.to_logits(features)
        torch.testing.assert_close(logits, classifier.network(to_x(pixels, 5, torch.float64)))
    assert (features.shape, features.dtype) == ((7, 6), torch.float64)
    assert DomainFeatures(classifier).dims == 6


def test_features_are_named_by_the_weights(classifier):
    assert DomainFeatures(classifier).name == f"domain-{classifier.digest[:8]}"


def test_neither_features_nor_classes_depend_on_the_batch(classifier, pixels, monkeypatch):
    features, classes = DomainFeatures(classifier)(pixels, 5), read_classes(classifier, pixels, 5)
    monkeypatch.setattr(room, "BATCH", 2)
    torch.testing.assert_close(DomainFeatures(classifier)(pixels, 5), features)
    seen = []
    assert torch.equal(read_classes(classifier, pixels, 5, lambda starts: seen.extend(starts) or starts), classes)
    assert seen == [0, 2, 4, 6]


def test_a_sample_is_read_as_asked_where_its_class_has_the_largest_logit(classifier, pixels):
    with torch.no_grad():
        largest = classifier.network(to_x(pixels[:6], 5, torch.float64)).argmax(dim=1).view(3, 2)
    found = ReadAsAsked.of(classifier, pixels[:6].unflatten(0, (3, 2)), 5, ["ant", "bee", "cow"])
    shares = [[int(label == asked) for label in row] for asked, row in enumerate(largest.tolist())]
    assert found.per_class == {name: sum(row) / 2 for name, row in zip(("ant", "bee", "cow"), shares, strict=True)}
    assert found.share == pytest.approx(sum(map(sum, shares)) / 6)
    assert found.interval[0] <= found.share <= found.interval[1]


def test_classes_are_matched_by_name_and_not_by_number(classifier, pixels):
    (label,) = read_classes(classifier, pixels[:1], 5).tolist()
    renamed = replace(classifier, class_names=("dog", "elk", "fox"))
    for asked, name in enumerate(renamed.class_names):
        share = ReadAsAsked.of(renamed, pixels[:1, None], 5, [name]).share
        assert share == (1 if asked == label else 0)


def test_a_class_that_the_classifier_does_not_know_is_refused(classifier, pixels):
    with pytest.raises(InputError, match="does not know 'yak', only ant, bee, cow"):
        ReadAsAsked.of(classifier, pixels[:2, None], 5, ["ant", "yak"])


def test_images_of_another_kind_are_refused(classifier, pixels):
    bad = {
        "images are 1 x 8 x 12 with 5 levels, the dedicated classifier takes 3 x 8 x 12 with 5": (pixels[:, :1], 5),
        "images are 3 x 8 x 11 with 5 levels": (pixels[..., :11], 5),
        "images are 3 x 8 x 12 with 256 levels": (pixels, 256),
    }
    for message, (images, levels) in bad.items():
        for compute in (DomainFeatures(classifier), lambda *given: read_classes(classifier, *given)):
            with pytest.raises(InputError, match=message):
                compute(images, levels)
