"""A run small enough to make in seconds, through the command line as a person would."""

import numpy as np
import torch
from networks import random_images, tiny_model
from PIL import Image

from pixelbayes.cli import main
from pixelbayes.data import DataConfig, ImageData, Split
from pixelbayes.experiments.baseline import BaselineConfig
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.models.resnet import ResNetArchitecture
from pixelbayes.training import ClassifierTrainingConfig, TrainingConfig
from pixelbayes.training.module import TrainingModule

CLASSES = ("cat", "dog", "owl")
SIZE = (6, 8)  # H, W
COUNTS = {"train": 12, "validation": 4, "test": 4}  # images of a class

# 36 training images are 5 steps an epoch, the last of 4 images; a state is saved after every step
TINY = (
    "--model.num_filters 4 --model.num_mixtures 2 --data.levels 8 --batch_size 8 --epochs 4 --warmup_steps 6"
    " --learning_rate 0.02 --ema_decay 0.9 --sample_every 2 --samples_per_class 2 --checkpoint_minutes 0"
    " --select-by bits_per_dim --logger none --device cpu"
)


def write_pictures(folder, *, classes=CLASSES, counts=COUNTS, size=SIZE):
    """`folder/split/class/NN.png`: noise around a grey of the class's own, the same every time."""
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
    model=ResNetArchitecture(widths=(4, 6), blocks=(1, 1)),
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
    return ImageData(splits, CLASSES, Preprocessing(image_size=(8, 12), levels=5), source="tiny")


def tiny_module(objective=None, *, network=None, data=None, **changes):
    """3 steps an epoch, of 4, 4 and 2 images; in float64."""
    settings = {"epochs": 2, "batch_size": 4, "warmup_steps": 3, "learning_rate": 0.02, "ema_decay": 0.9}
    fixed = {"sample_every": 0, "logger": "none", "device": "cpu", "precision": "float64"}
    config = TrainingConfig(**(settings | fixed | changes))
    return TrainingModule(network or tiny_model(), config, data or tiny_images(), seed=0, objective=objective)
