"""Trained networks, splits and measurements for the tests of evaluation, plots and report."""

from functools import cache

import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.checkpoints.trained import TrainedClassifier, TrainedPixelCNN
from pixelbayes.data import Split
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape
from pixelbayes.metrics.calibration import Calibration
from pixelbayes.metrics.classification import Classification
from pixelbayes.models.resnet import ResNet, ResNetConfig

NAMES = ("ant", "bee", "cow")
SHAPE = ImageShape(height=8, width=12, channels=3, levels=5)


@cache
def trained_pixelcnn(fusion="film", *, prior=(0.5, 0.25, 0.25), **changes):
    """A PixelCNN++ with random weights, in float32; one class per number of the prior."""
    network = randomised(tiny_model(fusion, num_classes=len(prior), **changes)).float()
    return TrainedPixelCNN(
        network=network.eval(),
        class_names=NAMES[: len(prior)],
        preprocessing=Preprocessing(image_shape=SHAPE),
        prior=prior,
    )


@cache
def trained_resnet():
    """A dedicated classifier with random weights, in float64; 6 features."""
    torch.manual_seed(0)
    config = ResNetConfig(widths=(4, 6), blocks=(1, 1), num_classes=3, image_shape=SHAPE)
    return TrainedClassifier(
        network=randomised(ResNet(config).double()).eval(),
        class_names=NAMES,
        preprocessing=Preprocessing(image_shape=SHAPE),
        prior=(0.5, 0.25, 0.25),
    )


def random_split(*labels, seed=2):
    pixels = random_images(len(labels), tiny_model().config, seed)
    return Split(pixels, torch.tensor(labels), tuple(f"image {index}" for index in range(len(labels))))


def measurement(labels, predicted, confidence, names=NAMES):
    """Of images with these predictions and confidences; the other classes share the rest of the probability."""
    confidence = torch.tensor(confidence, dtype=torch.float64)
    posterior = ((1 - confidence) / (len(names) - 1))[:, None].repeat(1, len(names))
    posterior[range(len(labels)), predicted] = confidence
    split, log_posterior = random_split(*labels), posterior.log()
    labelled = any(label >= 0 for label in labels)
    return Measurement(
        split=split,
        log_posterior=log_posterior,
        evidence=log_posterior - 300,
        log_prior=torch.zeros(len(names)),
        log_prob=log_posterior - 300,
        bits_per_dim=1.5,
        classification=Classification.of(torch.tensor(predicted), split.labels, names) if labelled else None,
        calibration=Calibration.of(log_posterior, split.labels) if labelled else None,
        images_per_second=10.0,
    )
