"""Trains the dedicated classifier, which a generative classifier is compared with.

It uses the data, the augmentation and the training loop of a generative run, and computes p(c | x) only.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.data import AugmentationConfig, DataConfig, ImageData
from pixelbayes.evaluation.history import Row
from pixelbayes.evaluation.measure import measure
from pixelbayes.experiments.claim import augmented_examples, checked_data, command_line, run_facts, start_run
from pixelbayes.experiments.config import RunConfig
from pixelbayes.experiments.plan import adopt, find_learning_rate, settle
from pixelbayes.models.resnet import ResNet, ResNetArchitecture, ResNetConfig
from pixelbayes.report.results import write_results
from pixelbayes.training import ClassifierTrainingConfig
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from pixelbayes.training.classifier_module import ClassifierModule


@documented
@dataclass(frozen=True, kw_only=True)
class BaselineConfig(RunConfig):
    """Everything that determines a run of the dedicated classifier."""

    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """random changes of the training images"""
    model: ResNetArchitecture = field(default_factory=ResNetArchitecture)
    """the network"""
    training: ClassifierTrainingConfig = field(default_factory=ClassifierTrainingConfig)
    """how to train it"""


BASELINES: dict[str, BaselineConfig] = {
    # scikit-learn's digits: less than a minute on two cores; no flips, because a mirrored digit is not a digit
    "digits": BaselineConfig(
        data=DataConfig(source="digits"),
        augmentation=AugmentationConfig(rotation_degrees=10.0, crop=1),
        training=ClassifierTrainingConfig(epochs=40),
    ),
    # photographs at 32x32, to be used with --data: ten minutes on two cores that compute in bf16, else an hour
    "photographs": BaselineConfig(
        data=DataConfig(image_size=(32, 32), channels=3),
        augmentation=AugmentationConfig(flip=0.5, crop=4, brightness=0.2, contrast=0.2, cutout=0.5),
        training=ClassifierTrainingConfig(epochs=80),
    ),
}


def train_baseline(
    config: BaselineConfig,
    run: Path,
    *,
    resume: bool = False,
    eval_split: str = "validation",
    data: ImageData | None = None,
) -> dict[str, Any]:
    """Trains a classifier into a run folder, then measures its best weights.

    Args:
        config: The config of the run.
        run: The run folder. It receives config, weights, history, metrics, predictions, figures and report.
        resume: Whether to continue the run in that folder, if there is one.
        eval_split: The split to measure at the end.
        data: The data of the config, if they are loaded already.

    Returns:
        The metrics, as in metrics.json.

    Raises:
        InputError: If the data are faulty, or the folder holds a run that is not to be resumed, or another run; or
            if no learning rate is found.
        DivergedError: If the loss or the gradient norm is not finite.
        InterruptedRunError: If the run was asked to stop; it can be resumed.
    """
    from pixelbayes.training.fit import fit  # Lightning takes seconds to import

    data = checked_data(config, run, eval_split, data)
    make_module, rates = partial(classifier_module, data=data), list[Row]()
    if RunFolder(run).config.is_file():
        config = adopt(config, run)
    else:
        config, rates = find_learning_rate(settle(config, make_module), make_module)
    start_run(config, run, resume=resume, eval_split=eval_split, data=data, range_test=rates)
    module = classifier_module(config, data)
    history = fit(module, run, Provenance(command=command_line(), config=config.as_plain()))
    trained = checkpoint.load_classifier(run, pick_device(config.training.device))

    return write_results(
        run,
        trained,
        measure(trained, data.split(eval_split)),
        source=config.data.source,
        split=eval_split,
        plots={"augmented": augmented_examples(data, config.augmentation, config.seed)},
        command=trained.provenance.command,
        facts=run_facts(trained, config, history) | {"digest of the weights": trained.digest},
    )


def classifier_module(config: BaselineConfig, data: ImageData) -> "ClassifierModule":
    """What a config trains on the data."""
    from pixelbayes.training.classifier_module import ClassifierModule

    return ClassifierModule(build_resnet(config, data), config.training, data, config.seed, config.augmentation)


def build_resnet(config: BaselineConfig, data: ImageData) -> ResNet:
    """The network at the start of training, a function of the seed; classes and image shape follow from the data."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return ResNet(
            ResNetConfig(
                **dataclasses.asdict(config.model),
                num_classes=len(data.class_names),
                image_shape=data.preprocessing.image_shape,
            )
        )
