"""The dedicated classifier, from config to results: the reports' last question is how far it is ahead.

It sees the data, the augmentation and the kind of training that a generative run sees, and gives p(c | x) alone.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pixelbayes.checkpoints import checkpoint
from pixelbayes.data import AugmentationConfig, DataConfig, ImageData
from pixelbayes.evaluation.measure import measure_baseline
from pixelbayes.experiments.run_folder import RunConfig, augmented_images, begin, command_line, run_facts
from pixelbayes.models.resnet import ResNet, ResNetArchitecture, ResNetConfig
from pixelbayes.report.results import write_results
from pixelbayes.training import ClassifierTrainingConfig
from pixelbayes.utils.devices import pick_device


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(RunConfig):
    """Everything that decides a run of the dedicated classifier."""

    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: ResNetArchitecture = field(default_factory=ResNetArchitecture)
    training: ClassifierTrainingConfig = field(default_factory=ClassifierTrainingConfig)


BASELINES: dict[str, BaselineConfig] = {
    # scikit-learn's digits: under a minute on two cores; a mirrored digit is none
    "digits": BaselineConfig(
        data=DataConfig(source="digits"),
        augmentation=AugmentationConfig(rotation_degrees=10.0, crop=1),
        training=ClassifierTrainingConfig(epochs=40),
    ),
    # photographs at 32x32, give --data: ten minutes on two cores that compute in bf16
    "photographs": BaselineConfig(
        data=DataConfig(image_size=(32, 32), channels=3),
        augmentation=AugmentationConfig(flip=0.5, crop=4, brightness=0.2, contrast=0.2, cutout=0.5),
        training=ClassifierTrainingConfig(epochs=80, precision="bf16"),
    ),
}


def train_baseline(
    config: BaselineConfig, run: Path, *, resume: bool = False, report_on: str = "validation"
) -> dict[str, Any]:
    """Trains a classifier into a run folder, then measures and shows its best weights.

    Args:
        config: What to do.
        run: The run folder; receives config, weights, history, metrics, predictions, pictures and index.html.
        resume: Go on with the run in that folder, if there is one.
        report_on: The split to measure at the end.

    Returns:
        The figures, as in metrics.json.

    Raises:
        InputError: If the data is faulty, or the folder holds a run already, or another one than is to be resumed.
        DivergedError: If a loss is not finite.
        InterruptedRunError: If asked to stop; the run can be resumed.
    """
    data = begin(config, run, resume=resume, report_on=report_on)

    from pixelbayes.training.classifier_module import ClassifierModule  # Lightning takes seconds to import
    from pixelbayes.training.fit import fit

    module = ClassifierModule(build_resnet(config, data), config.training, data, config.seed, config.augmentation)
    history = fit(module, run, about={"experiment": config.as_plain(), "command": command_line()})
    trained = checkpoint.load_baseline(run, pick_device(config.training.device))

    return write_results(
        run,
        trained,
        measure_baseline(trained, data.split(report_on)),
        source=config.data.source,
        split=report_on,
        figures={"augmented": augmented_images(data, config.augmentation, config.seed)},
        command=trained.about["command"],
        facts=run_facts(trained, config, history) | {"name of the weights": trained.digest},
    )


def build_resnet(config: BaselineConfig, data: ImageData) -> ResNet:
    """A network at its start, its weights a function of the seed; the data tell classes, channels, levels and size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return ResNet(
            ResNetConfig(
                **dataclasses.asdict(config.model),
                num_classes=len(data.class_names),
                channels=data.preprocessing.channels,
                levels=data.preprocessing.levels,
                image_size=data.preprocessing.image_size,
            )
        )
