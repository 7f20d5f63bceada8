"""The teacher of a run: dedicated classifiers that exist already, or one that is trained first."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.data import ImageData
from pixelbayes.experiments.baseline import BaselineConfig, build_classifier, train_baseline
from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.measure import load_matching_classifier
from pixelbayes.training import ClassifierTrainingConfig
from pixelbayes.utils.errors import InputError, InterruptedRunError
from pixelbayes.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from pixelbayes.training.teacher import Teacher

AUTO = "auto"


def teacher_config(config: ExperimentConfig) -> BaselineConfig:
    """The config of the classifier that `--teacher auto` trains: the data and augmentation of the run."""
    training = config.training
    return BaselineConfig(
        data=config.data,
        augmentation=config.augmentation,
        training=ClassifierTrainingConfig(
            epochs=training.teacher_epochs,
            device=training.device,
            precision=training.precision,
            checkpoint_minutes=training.checkpoint_minutes,
            logger="none",
        ),
        seed=config.seed,
    )


def make_teacher(config: ExperimentConfig, run: Path, data: ImageData) -> "Teacher | None":
    """Loads the classifiers that the config names; trains one into the run folder for `auto`.

    Args:
        config: The config of the run.
        run: The run folder. A classifier that is being trained there, or has been, is continued or used.
        data: The data of the config.

    Returns:
        The teacher; None if the config names no classifier.

    Raises:
        InputError: If a classifier has other classes, or takes other images, than the data.
        InterruptedRunError: If the training of a classifier was asked to stop; the run can be resumed.
    """
    names = config.training.teacher
    if not names:
        return None
    own = RunFolder(run).teacher
    if AUTO in names and not RunFolder(own).metrics.is_file():
        from pixelbayes.training.launch import is_launched

        if is_launched():
            raise InputError("teacher is auto, which torchrun cannot train; train one with `pixelbayes baseline` first")
        try:
            train_baseline(teacher_config(config), own, resume=True, data=data)
        except InterruptedRunError as error:
            command = shlex.join(["pixelbayes", "train", "--out", str(run), "--resume"])
            message = f"training of the teacher stopped; resume it with `{command}`"
            raise InterruptedRunError(message, error.signal) from error
    return _teacher([str(own) if name == AUTO else name for name in names], config.training.teacher_weight, data)


def untrained_teacher(config: ExperimentConfig, data: ImageData) -> "Teacher | None":
    """The teacher of a dry run, which measures its cost: a classifier for `auto` has its initial weights."""
    from pixelbayes.training.teacher import Teacher

    names, weight = config.training.teacher, config.training.teacher_weight
    if AUTO not in names:
        return _teacher(names, weight, data)
    initial = TrainedClassifier(
        network=build_classifier(teacher_config(config), data).eval(),
        class_names=data.class_names,
        preprocessing=data.preprocessing,
        prior=(1 / len(data.class_names),) * len(data.class_names),
        provenance=Provenance(),
    )
    return Teacher([initial] * len(names), weight)


def _teacher(names: "list[str] | tuple[str, ...]", weight: float, data: ImageData) -> "Teacher | None":
    if not names:
        return None
    from pixelbayes.training.teacher import Teacher

    classifiers = [load_matching_classifier("teacher", name, data.class_names, data.preprocessing) for name in names]
    return Teacher(classifiers, weight)
