from dataclasses import replace

import pytest
import torch
from networks import random_images

from pixelbayes.features import classifier as module
from pixelbayes.features.classifier import ClassifierFeatures, ConditionalAccuracy, predict_classes
from pixelbayes.images.pixels import to_x
from pixelbayes.utils.errors import InputError


@pytest.fixture
def pixels(classifier):
    return random_images(7, classifier.network.config)


def test_features_are_the_input_of_the_last_layer_and_named_by_the_weights(classifier, pixels):
    extractor = ClassifierFeatures(classifier)
    features = extractor(pixels, 5)
    with torch.no_grad():
        logits = classifier.network.to_logits(features)
        torch.testing.assert_close(logits, classifier.network(to_x(pixels, 5, torch.float64)))
    assert (features.shape, features.dtype) == ((7, 6), torch.float64)
    assert (extractor.dims, extractor.name) == (6, f"classifier-{classifier.digest[:8]}")


def test_neither_features_nor_classes_depend_on_the_batch(classifier, pixels, monkeypatch):
    features, classes = ClassifierFeatures(classifier)(pixels, 5), predict_classes(classifier, pixels, 5)
    monkeypatch.setattr(module, "BATCH", 2)
    torch.testing.assert_close(ClassifierFeatures(classifier)(pixels, 5), features)
    starts = []
    assert torch.equal(predict_classes(classifier, pixels, 5, lambda all: starts.extend(all) or all), classes)
    assert starts == [0, 2, 4, 6]


def test_a_sample_agrees_with_its_class_if_that_class_has_the_largest_logit(classifier, pixels):
    with torch.no_grad():
        largest = classifier.network(to_x(pixels[:6], 5, torch.float64)).argmax(dim=1).view(3, 2)
    found = ConditionalAccuracy.of(classifier, pixels[:6].unflatten(0, (3, 2)), 5, ["ant", "bee", "cow"])
    agreements = [[int(label == drawn) for label in row] for drawn, row in enumerate(largest.tolist())]
    assert found.per_class == {name: sum(row) / 2 for name, row in zip(("ant", "bee", "cow"), agreements, strict=True)}
    assert found.share == pytest.approx(sum(map(sum, agreements)) / 6)
    assert found.interval[0] <= found.share <= found.interval[1]
    assert found.classifier == classifier.digest


def test_classes_are_matched_by_name_and_not_by_number(classifier, pixels):
    (label,) = predict_classes(classifier, pixels[:1], 5).tolist()
    renamed = replace(classifier, class_names=("dog", "elk", "fox"))
    for drawn, name in enumerate(renamed.class_names):
        share = ConditionalAccuracy.of(renamed, pixels[:1, None], 5, [name]).share
        assert share == (1 if drawn == label else 0)


def test_a_class_that_the_classifier_does_not_have_is_refused(classifier, pixels):
    with pytest.raises(InputError, match="has no class 'yak', only ant, bee, cow"):
        ConditionalAccuracy.of(classifier, pixels[:2, None], 5, ["ant", "yak"])


@pytest.mark.parametrize("compute", [lambda c, *images: ClassifierFeatures(c)(*images), predict_classes])
def test_images_of_another_shape_are_refused(compute, classifier, pixels):
    for message, images, levels in (
        ("8 x 12 pixels, 1 channel, 5 levels, .* takes 8 x 12 pixels, 3 channels, 5 levels;", pixels[:, :1], 5),
        ("images have 8 x 11 pixels, 3 channels, 5 levels", pixels[..., :11], 5),
        ("images have 8 x 12 pixels, 3 channels, 256 levels", pixels, 256),
    ):
        with pytest.raises(InputError, match=message):
            compute(classifier, images, levels)
