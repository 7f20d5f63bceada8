import pytest
import torch
from measured import SHAPE
from networks import random_images, tiny_model

from pixelbayes.evaluation.memorization import NearestDistances, measure_memorization
from pixelbayes.features.classifier import ClassifierFeatures

LEVELS = SHAPE.levels


def images(count, seed):
    return random_images(count, tiny_model().config, seed)


def test_five_percent_of_samples_that_are_as_far_as_held_out_images_are_below_the_threshold():
    distances = torch.linspace(1, 2, 1001, dtype=torch.float64)
    found = NearestDistances.of(distances, distances)
    assert found == NearestDistances(1.5, 1.5, pytest.approx(1.05), pytest.approx(0.05, abs=1e-3))


def test_copies_are_all_below_the_threshold_and_counted():
    train, held_out = images(30, 1), images(20, 2)
    found = measure_memorization(train[3:7], train, held_out, LEVELS)
    assert found.copies == 4
    assert found.neighbours.index.tolist() == [3, 4, 5, 6]
    pixels = found.spaces["pixels"]
    assert (pixels.median, pixels.share_below) == (0, 1)
    assert 0 < pixels.threshold <= pixels.held_out_median


def test_held_out_images_are_not_memorized():
    train, held_out = images(30, 1), images(40, 2)
    assert 0 < measure_memorization(held_out, train, held_out, LEVELS).spaces["pixels"].share_below <= 0.05


def test_a_difference_of_one_level_in_every_colour_is_a_distance_of_one_level():
    train = images(6, 1).clamp(max=LEVELS - 2)
    found = measure_memorization(train + 1, train, None, LEVELS)
    assert found.copies == 0
    assert found.spaces["pixels"].median <= 2 / (LEVELS - 1)
    assert found.spaces["pixels"].threshold is found.spaces["pixels"].share_below is None


def test_features_are_a_second_space(classifier):
    train, held_out = images(12, 1), images(9, 2)
    found = measure_memorization(train[:3], train, held_out, LEVELS, extractor=ClassifierFeatures(classifier))
    assert list(found.spaces) == ["pixels", "features"]
    assert found.spaces["features"].median == pytest.approx(0, abs=1e-12)
    assert found.spaces["features"].share_below == 1
