import math

import pytest
import torch
from networks import random_images, tiny_model
from torch.nn.functional import cross_entropy, one_hot

from pixelbayes.checkpoints.checkpoint import load_classifier
from pixelbayes.data import AugmentationConfig, ImageData, Split
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.training import ClassifierTrainingConfig
from pixelbayes.training.classifier_module import ClassifierModule
from pixelbayes.training.fit import fit
from pixelbayes.utils.run_folder import RunFolder

SHAPE = tiny_model().config.image_shape


def images(unlabelled=()):
    """10 training and 5 validation images, labelled 0, 1, 2, 0, ... except for the given training images."""
    splits = {}
    for name, count in {"train": 10, "validation": 5}.items():
        labels = torch.arange(count) % 3
        labels[list(unlabelled) if name == "train" else []] = -1
        pixels = random_images(count, tiny_model().config, seed=count)
        splits[name] = Split(pixels, labels, tuple(f"{name}/{index}" for index in range(count)))
    return ImageData(splits, ("cat", "dog", "owl"), Preprocessing(image_shape=SHAPE), source="tiny")


def tiny_classifier(*, data=None, augmentation=None, **changes):
    """A module in float64 that trains 3 steps per epoch, of 4, 4 and 2 images."""
    settings = {"epochs": 2, "batch_size": 4, "warmup_steps": 3, "learning_rate": 0.01, "ema_decay": 0.9}
    fixed = {"logger": "none", "device": "cpu", "precision": "float64"}
    config = ClassifierTrainingConfig(**(settings | fixed | changes))
    torch.manual_seed(0)
    network = ResNet(ResNetConfig(widths=(4, 8), blocks=(1, 1), num_classes=3, image_shape=SHAPE)).double()
    return ClassifierModule(network, config, data or images(), 0, augmentation or AugmentationConfig())


def test_the_loss_is_the_cross_entropy_with_smoothed_targets():
    module = tiny_classifier(label_smoothing=0.3)
    x, label = to_x(module.train_pixels[:4], 5, torch.float64), module.train_labels[:4]
    target = 0.7 * one_hot(label, 3) + 0.1
    expected = -(target * module.network(x).log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(module.loss(torch.arange(4)), expected)


def test_images_without_a_label_are_ignored():
    module = tiny_classifier(data=images(unlabelled=(1, 2)), label_smoothing=0.0)
    logits = module.network(to_x(module.train_pixels[:4], 5, torch.float64))
    torch.testing.assert_close(module.loss(torch.arange(4)), cross_entropy(logits[[0, 3]], torch.tensor([0, 0])))
    assert module.loss(torch.tensor([1, 2])) == 0


@pytest.mark.slow
def test_training_lowers_the_cross_entropy_and_saves_the_averaged_weights(tmp_path):
    module = tiny_classifier(epochs=12, label_smoothing=0.0)
    history = fit(module, tmp_path)
    assert list(history[0]) == [
        "epoch", "step", "train/cross_entropy", "val/cross_entropy", "val/accuracy", "learning_rate",
        "images_per_second", "seconds",
    ]  # fmt: skip
    assert history[-1]["train/cross_entropy"] < 0.7 * history[0]["train/cross_entropy"]
    assert history[0]["train/cross_entropy"] == pytest.approx(math.log(3), rel=0.2)
    folder = RunFolder(tmp_path)
    last = load_classifier(folder.last)
    assert last.provenance.monitor == "accuracy"
    assert last.prior == (0.4, 0.3, 0.3)
    x = to_x(module.validation_pixels, 5)
    torch.testing.assert_close(last.network(x), module.average.eval().float()(x))
    assert not folder.samples.exists()


@pytest.mark.slow
def test_a_run_that_crashes_in_an_epoch_or_at_its_end_resumes_bit_for_bit(tmp_path, monkeypatch):
    class CrashError(Exception):
        pass

    settings = {"augmentation": AugmentationConfig(flip=0.5, noise=0.1), "checkpoint_minutes": 0.0}
    fit(tiny_classifier(**settings), tmp_path / "whole")
    loss, crashes = ClassifierModule.loss, [1, 2, 4]  # steps: within an epoch, the last of an epoch, in the next epoch

    def crashing(self, index):
        if crashes and self.global_step == crashes[0]:
            raise CrashError(crashes.pop(0))
        return loss(self, index)

    monkeypatch.setattr(ClassifierModule, "loss", crashing)
    while crashes:
        with pytest.raises(CrashError):
            fit(tiny_classifier(**settings), tmp_path / "resumed")
    fit(tiny_classifier(**settings), tmp_path / "resumed")
    for name in ("best", "last"):
        whole, resumed = (load_classifier(getattr(RunFolder(tmp_path / run), name)) for run in ("whole", "resumed"))
        assert whole.digest == resumed.digest
