import math

import pytest
import torch
from networks import random_images, tiny_model
from torch.nn.functional import cross_entropy, one_hot

from pixelbayes.checkpoints.checkpoint import BEST, LAST, load_baseline
from pixelbayes.data import AugmentationConfig, ImageData, Split
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.training import ClassifierTrainingConfig
from pixelbayes.training.classifier_module import ClassifierModule
from pixelbayes.training.fit import fit
from pixelbayes.utils.errors import InputError


def images(train=10, validation=5, unlabelled=()):
    """Random images, labelled 0, 1, 2, 0, ... but for those of train that are named."""
    splits = {}
    for name, count in {"train": train, "validation": validation}.items():
        labels = torch.arange(count) % 3
        labels[list(unlabelled) if name == "train" else []] = -1
        pixels = random_images(count, tiny_model().config, seed=count)
        splits[name] = Split(pixels, labels, tuple(f"{name}/{index}" for index in range(count)))
    return ImageData(splits, ("cat", "dog", "owl"), Preprocessing(image_size=(8, 12), levels=5), source="tiny")


def module(*, data=None, augmentation=None, **changes):
    """3 steps an epoch, of 4, 4 and 2 images; in float64."""
    settings = {"epochs": 2, "batch_size": 4, "warmup_steps": 3, "learning_rate": 0.01, "ema_decay": 0.9}
    fixed = {"logger": "none", "device": "cpu", "precision": "float64"}
    config = ClassifierTrainingConfig(**(settings | fixed | changes))
    torch.manual_seed(0)
    shape = ResNetConfig(widths=(4, 8), blocks=(1, 1), num_classes=3, levels=5, image_size=(8, 12))
    return ClassifierModule(ResNet(shape).double(), config, data or images(), 0, augmentation or AugmentationConfig())


def test_the_loss_is_the_cross_entropy_with_targets_spread_over_all_classes():
    found = module(label_smoothing=0.3)
    index = torch.arange(4)
    x, label = to_x(found.train_pixels[index], 5, torch.float64), found.train_labels[index]
    target = 0.7 * one_hot(label, 3) + 0.1
    expected = -(target * found.network(x).log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(found.loss(index), expected)


def test_images_without_a_label_are_passed_over():
    found = module(data=images(unlabelled=(1, 2)), label_smoothing=0.0)
    logits = found.network(to_x(found.train_pixels[:4], 5, torch.float64))
    torch.testing.assert_close(found.loss(torch.arange(4)), cross_entropy(logits[[0, 3]], torch.tensor([0, 0])))
    assert found.loss(torch.tensor([1, 2])) == 0


def test_label_smoothing_is_a_share():
    with pytest.raises(InputError, match=r"label_smoothing is 1.0, expected at least 0 and below 1"):
        ClassifierTrainingConfig(label_smoothing=1.0)


@pytest.mark.slow
def test_training_lowers_the_cross_entropy_and_keeps_the_averaged_weights(tmp_path):
    trained = module(epochs=12, label_smoothing=0.0)
    history = fit(trained, tmp_path, {"command": "test"})
    assert list(history[0]) == [
        "epoch", "step", "train/cross_entropy", "val/cross_entropy", "val/accuracy", "learning_rate",
        "images_per_second", "seconds",
    ]  # fmt: skip
    assert history[-1]["train/cross_entropy"] < 0.7 * history[0]["train/cross_entropy"]
    assert history[0]["train/cross_entropy"] == pytest.approx(math.log(3), rel=0.2)
    last = load_baseline(tmp_path / LAST)
    assert last.about["selected_by"] == "accuracy"
    assert last.prior == (0.4, 0.3, 0.3)
    x = to_x(trained.validation_pixels, 5)
    torch.testing.assert_close(last.network(x), trained.average.eval().float()(x))
    assert not (tmp_path / "samples").exists()


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 4])  # within an epoch, at its end, within the next
def test_a_resumed_run_ends_as_if_it_had_never_stopped(step, tmp_path, monkeypatch):
    class PowerCutError(Exception):
        pass

    settings = {"augmentation": AugmentationConfig(flip=0.5, noise=0.1), "checkpoint_minutes": 0.0}
    fit(module(**settings), tmp_path / "whole", {})
    with monkeypatch.context() as patch:
        loss = ClassifierModule.loss

        def cut(self, index):
            if self.global_step == step:
                raise PowerCutError
            return loss(self, index)

        patch.setattr(ClassifierModule, "loss", cut)
        with pytest.raises(PowerCutError):
            fit(module(**settings), tmp_path / "cut", {})
    fit(module(**settings), tmp_path / "cut", {})
    for name in (BEST, LAST):
        whole, resumed = (load_baseline(tmp_path / run / name) for run in ("whole", "cut"))
        assert whole.digest == resumed.digest
