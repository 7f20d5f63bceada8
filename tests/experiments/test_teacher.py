"""The teacher of a run: loaded, or trained first."""

import json
import os
import signal

import pytest
from runs import CLASSES, tiny_images, train

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.experiments import ExperimentConfig
from pixelbayes.experiments.teacher import make_teacher
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.training import TrainingConfig
from pixelbayes.training.classifier_module import ClassifierModule
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.run_folder import RunFolder


def save_classifier(path, classes=CLASSES, size=(8, 12), levels=5):
    shape = ImageShape(height=size[0], width=size[1], levels=levels)
    network = ResNet(ResNetConfig(widths=(4,), blocks=(1,), num_classes=len(classes), image_shape=shape))
    trained = TrainedClassifier(
        network=network,
        class_names=classes,
        preprocessing=Preprocessing(image_shape=shape),
        prior=(1 / len(classes),) * len(classes),
    )
    checkpoint.save(trained, path)


def with_teacher(*runs):
    training = TrainingConfig(teacher=tuple(map(str, runs)), classification_weight=1.0, teacher_weight=0.5)
    return ExperimentConfig(training=training)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("cat", "dog")}, "its classes are cat, dog, but cat, dog, owl are needed"),
        ({"levels": 8}, "8 levels, resized by crop, but 8 x 12, 3 channels, 5 levels"),
        ({"size": (8, 8)}, "its images are 8 x 8, 3 channels, 5 levels, resized by crop, but 8 x 12"),
    ],
)
def test_a_teacher_of_other_classes_or_images_is_refused_and_one_of_the_same_makes_targets(changes, message, tmp_path):
    data = tiny_images()
    for name, options in (("same", {}), ("other", changes)):
        save_classifier(tmp_path / name, **options)
    config = with_teacher(tmp_path / "same")
    teacher = make_teacher(config, tmp_path / "run", data)
    train = data.split("train")
    assert teacher.targets(train.pixels, train.labels).shape == (10, 3)
    with pytest.raises(InputError, match=rf"^teacher .*other: .*{message}"):
        make_teacher(with_teacher(tmp_path / "same", tmp_path / "other"), tmp_path / "run", data)


HYBRID = [
    "--fusion",
    "class-head",
    "--classification-weight",
    "1",
    "--classification-start",
    "0.5",
    "--teacher",
    "auto",
]


def test_a_run_trains_its_own_teacher_and_resumes_within_it(pictures, tmp_path, monkeypatch, capsys):
    loss, calls = ClassifierModule.loss, []

    def interrupting(module, index):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(module, index)

    monkeypatch.setattr(ClassifierModule, "loss", interrupting)
    run = tmp_path / "run"
    assert train(pictures, run, *HYBRID) == 128 + signal.SIGTERM
    assert f"resume it with `pixelbayes train --out {run} --resume`" in " ".join(capsys.readouterr().err.split())
    assert not RunFolder(run).best.exists()
    assert train(pictures, run, *HYBRID, "--resume") == 0
    teacher = RunFolder(RunFolder(run).teacher)
    assert checkpoint.load_classifier(teacher.path).class_names == CLASSES
    assert json.loads(teacher.metrics.read_text())["split"] == "validation"
    assert RunFolder(run).best.is_file()
