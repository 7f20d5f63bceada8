import pytest
import torch
from networks import random_images

from pixelbayes.evaluation.memorization import Nearness, check_memorising
from pixelbayes.features.classifier import DomainFeatures
from pixelbayes.metrics.nearest import Neighbours
from pixelbayes.plots import to_png
from pixelbayes.plots.neighbours import nearest_neighbours


@pytest.fixture
def images(classifier):
    def draw(count, seed):
        return random_images(count, classifier.network.config, seed)

    return draw


def test_samples_that_are_as_far_as_held_out_images_are_seldom_below_the_threshold():
    distances = torch.linspace(1, 2, 1001, dtype=torch.float64)
    found = Nearness.of(distances, distances)
    assert found == Nearness(1.5, 1.5, pytest.approx(1.05), pytest.approx(0.05, abs=1e-3))


def test_a_copier_is_below_the_threshold_throughout_and_its_copies_are_counted(images):
    train, held_out = images(30, 1), images(20, 2)
    found = check_memorising(train[3:7], train, held_out, 5)
    assert found.copies == 4
    assert found.neighbours.index.tolist() == [3, 4, 5, 6]
    pixels = found.spaces["pixels"]
    assert (pixels.median, pixels.share_below) == (0, 1)
    assert 0 < pixels.threshold <= pixels.held_out_median


def test_held_out_images_themselves_do_not_look_remembered(images):
    train, held_out = images(30, 1), images(40, 2)
    assert 0 < check_memorising(held_out, train, held_out, 5).spaces["pixels"].share_below <= 0.05


def test_one_level_further_in_every_colour_is_that_far_in_pixels(images):
    train = images(6, 1).clamp(max=3)
    found = check_memorising(train + 1, train, None, 5)
    assert found.copies == 0
    assert found.spaces["pixels"].median <= 2 / 4
    assert found.spaces["pixels"].threshold is found.spaces["pixels"].share_below is None


def test_features_are_a_second_space(images, classifier):
    train, held_out = images(12, 1), images(9, 2)
    found = check_memorising(train[:3], train, held_out, 5, extractor=DomainFeatures(classifier))
    assert list(found.spaces) == ["pixels", "features"]
    assert found.spaces["features"].median == pytest.approx(0, abs=1e-12)
    assert found.spaces["features"].share_below == 1


# the picture of it


def test_the_nearest_pairs_are_shown_first_with_their_distances(images):
    samples, training = images(12, 1), images(20, 2)
    neighbours = Neighbours(torch.arange(12) + 3, torch.linspace(1.2, 0.1, 12, dtype=torch.float64))
    figure = nearest_neighbours(samples, training, neighbours, 5)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sample", "nearest in training"]
    distances = [label.get_text() for label in axes.get_xticklabels()]
    assert distances == [f"{0.1 * step:.3f}" for step in range(1, 11)]
    assert to_png(figure).startswith(b"\x89PNG")


def test_a_copy_and_its_original_look_the_same(images):
    training = images(5, 1)
    sheet = nearest_neighbours(
        training[2:4], training, Neighbours(torch.tensor([2, 3]), torch.zeros(2).double()), 5
    ).axes[0].images[0].get_array()  # fmt: skip
    height = (sheet.shape[0] - 8) // 2
    assert (sheet[:height] == sheet[-height:]).all()
