from dataclasses import asdict, replace

import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.data import Split
from pixelbayes.evaluation.measure import calibrate, measure
from pixelbayes.experiments.classify import unlike_training
from pixelbayes.experiments.measure import set_against
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.metrics.ood import auroc, fit_typical, outlier_scores

LEVELS = 5


def trained():
    return Checkpoint(
        network=randomised(tiny_model(views=2)).float(),
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_size=(8, 12), levels=LEVELS),
        prior=(1 / 3,) * 3,
    )


def split(count, seed, label=-1):
    pixels = random_images(count, tiny_model().config, seed=seed)
    labels = torch.arange(count) % 3 if label is None else torch.full((count,), label)
    return Split(pixels, labels, tuple(map(str, range(count))))


def test_limits_hold_for_the_views_they_were_fitted_to_alone():
    checkpoint, images = trained(), split(120, seed=1, label=None)
    checkpoint = replace(checkpoint, calibration=calibrate(checkpoint, measure(checkpoint, images, views=2), "a", "b"))
    assert len(unlike_training(checkpoint, measure(checkpoint, images, views=2))) == 120
    assert unlike_training(checkpoint, measure(checkpoint, images, views=1)) is None


@pytest.mark.parametrize("fitted_to", [None, 1])
def test_other_images_are_scored_in_as_many_views_as_those_inside(fitted_to):
    checkpoint, inside, others = trained(), split(9, seed=1, label=None), split(7, seed=2)
    if fitted_to:
        fitted = calibrate(checkpoint, measure(checkpoint, inside, views=fitted_to), "a", "b")
        checkpoint = replace(checkpoint, calibration=fitted)
    measurement = measure(checkpoint, inside, views=2)
    found, _ = set_against(checkpoint, measurement, others, ("in", "out"))
    outside = measure(checkpoint, others, views=2).log_marginal
    mean = fit_typical(measurement.log_marginal, inside.pixels, LEVELS).bits_per_dim
    near = outlier_scores(measurement.log_marginal, inside.pixels, LEVELS, mean)
    far = outlier_scores(outside, others.pixels, LEVELS, mean)
    assert found["scores"] == {score: asdict(auroc(near[score], far[score])) for score in near}
