"""Runs that take seconds, started through the command line as a user would start them."""

import os

import numpy as np
import torch
from networks import random_images, tiny_model
from PIL import Image

from pixelbayes.cli import main
from pixelbayes.data import DataConfig, ImageData, Split
from pixelbayes.experiments.baseline import BaselineConfig, ClassifierArchitecture
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.training import ClassifierTrainingConfig, TrainingConfig
from pixelbayes.training.module import TrainingModule
from pixelbayes.training.objectives import likelihood_loss

CLASSES = ("cat", "dog", "owl")
SIZE = (6, 8)  # H, W
COUNTS = {"train": 12, "validation": 4, "test": 4}  # images of a class

# 36 training images are 5 steps per epoch, the last of 4 images; the training state is saved after every step
TINY = (
    "--preset maximum-likelihood --num-filters 4 --num-mixtures 2 --levels 8 --batch-size 8 --epochs 4 --warmup-steps 6"
    " --learning-rate 0.02 --ema-decay 0.9 --sample-every 2 --samples-per-class 2 --checkpoint-minutes 0"
    " --monitor bits_per_dim --logger none --device cpu"
)


def write_pictures(folder, *, classes=CLASSES, counts=COUNTS, size=SIZE):
    """`folder/split/class/NN.png`: noise around a grey that depends on the class; the same images every time."""
    draw = np.random.default_rng(0)
    for split, count in counts.items():
        for label, name in enumerate(classes):
            for index in range(count):
                path = folder / split / name / f"{index:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = draw.integers(0, 60, (*size, 3), dtype=np.uint8)
                Image.fromarray(noise + np.uint8(60 * label)).save(path)
    return folder


# a dedicated classifier that is trained in a second
QUICK = BaselineConfig(
    data=DataConfig(levels=8),
    model=ClassifierArchitecture(widths=(4, 6), blocks=(1, 1)),
    training=ClassifierTrainingConfig(epochs=3, batch_size=8, warmup_steps=2, logger="none", device="cpu"),
)


def train(data, run, *options):
    """`pixelbayes train`; returns the exit status."""
    return main(["train", "--data", str(data), "--out", str(run), *TINY.split(), *map(str, options)])


def tiny_images(train=10, validation=5):
    """Random images for `networks.tiny_model`, labelled 0, 1, 2, 0, ..."""
    splits = {}
    for name, count in {"train": train, "validation": validation}.items():
        pixels = random_images(count, tiny_model().config, seed=count)
        splits[name] = Split(pixels, torch.arange(count) % 3, tuple(f"{name}/{index}" for index in range(count)))
    return ImageData(splits, CLASSES, Preprocessing(image_shape=tiny_model().config.image_shape), source="tiny")


def tiny_module(objective=None, *, network=None, data=None, **changes):
    """A module in float64 that trains 3 steps per epoch, of 4, 4 and 2 images."""
    settings = {"epochs": 2, "batch_size": 4, "warmup_steps": 3, "learning_rate": 0.02, "ema_decay": 0.9}
    fixed = {"sample_every": 0, "logger": "none", "device": "cpu", "precision": "float64"}
    config = TrainingConfig(**(settings | fixed | changes))
    return TrainingModule(network or tiny_model(), config, data or tiny_images(), seed=0, objective=objective)


def sending(number, *, times=1, step=2):
    """An objective that sends this process a signal in a step, counted from 1."""
    calls = []

    def objective(network, batch, key):
        calls.append(1)
        if len(calls) == step:
            for _ in range(times):
                os.kill(os.getpid(), number)
        return likelihood_loss(network, batch, key)

    return objective
