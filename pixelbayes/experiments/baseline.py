"""Trains the dedicated classifier, which a generative classifier is compared with.

It uses the data, the augmentation and the training loop of a generative run, and computes p(c | x) only.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.checkpoints.trained import Classifier
from pixelbayes.data import AugmentationConfig, DataConfig, ImageData
from pixelbayes.evaluation.history import Row
from pixelbayes.evaluation.measure import measure
from pixelbayes.experiments.claim import augmented_examples, checked_data, command_line, run_facts, start_run
from pixelbayes.experiments.config import RunConfig
from pixelbayes.experiments.plan import adopt, find_learning_rate, settle
from pixelbayes.experiments.sizes import check_fits
from pixelbayes.models.pretrained import pretrained_network
from pixelbayes.models.resnet import ResNet, ResNetArchitecture, ResNetConfig
from pixelbayes.report.results import write_results
from pixelbayes.training import ClassifierTrainingConfig
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from pixelbayes.training.classifier_module import ClassifierModule


RESNET, TIMM = "resnet", "timm:"  # the values of `ClassifierArchitecture.network`; a name follows the second


@documented
@dataclass(frozen=True, kw_only=True)
class ClassifierArchitecture(ResNetArchitecture):
    """The network of a dedicated classifier: a residual network of `widths` and `blocks`, or a pre-trained one.

    Raises:
        InputError: If the network is neither, or another field belongs to the other kind.
    """

    network: str = RESNET
    """resnet, trained from scratch, or timm:NAME, a pre-trained network of the timm package such as timm:resnet18"""
    weights: str = ""
    """file of the pre-trained weights of timm:NAME, safetensors or a state dict of PyTorch; by default timm downloads
    them"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network != RESNET and not self.timm_name:
            raise InputError(f"model is {self.network!r}, expected {RESNET}, or {TIMM}NAME such as {TIMM}resnet18")
        if self.weights and not self.timm_name:
            raise InputError(f"weights is {self.weights}, but {RESNET} is trained from scratch; add --model {TIMM}NAME")
        if self.timm_name and (self.widths, self.blocks) != (ResNetArchitecture.widths, ResNetArchitecture.blocks):
            raise InputError(f"widths and blocks are those of {RESNET}, but model is {self.network}; leave them out")

    @property
    def timm_name(self) -> str:
        """The name that timm knows the network by; empty for a network of ours."""
        return self.network.removeprefix(TIMM) if self.network.startswith(TIMM) else ""


@documented
@dataclass(frozen=True, kw_only=True)
class BaselineConfig(RunConfig):
    """Everything that determines a run of the dedicated classifier."""

    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """random changes of the training images"""
    model: ClassifierArchitecture = field(default_factory=ClassifierArchitecture)
    """the network"""
    training: ClassifierTrainingConfig = field(default_factory=ClassifierTrainingConfig)
    """how to train it"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.timm_name and self.training.optimizer == "muon":
            raise InputError("optimizer is muon, expected adam or adamw for a pre-trained network")


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
    # the same for a network that knows photographs already, which needs fewer epochs and more pixels: it was
    # pre-trained on larger images, and halves height and width five times
    "fine-tuned": BaselineConfig(
        data=DataConfig(image_size=(64, 64), channels=3),
        augmentation=AugmentationConfig(flip=0.5, crop=8, brightness=0.2, contrast=0.2, cutout=0.5),
        model=ClassifierArchitecture(network="timm:resnet18"),
        training=ClassifierTrainingConfig(epochs=20),
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
    folder, rates = RunFolder(run), list[Row]()
    if folder.config.is_file():
        config = adopt(config, run)
    else:
        settled = settle(config, partial(classifier_module, data=data, pretrained=False))
        config, rates = find_learning_rate(settled, partial(classifier_module, data=data))
    module = classifier_module(config, data, pretrained=not folder.resume.is_file())
    start_run(config, run, resume=resume, eval_split=eval_split, data=data, range_test=rates)
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


def classifier_module(config: BaselineConfig, data: ImageData, *, pretrained: bool = True) -> "ClassifierModule":
    """What a config trains on the data; `pretrained` as in `build_classifier`."""
    from pixelbayes.training.classifier_module import ClassifierModule

    network = build_classifier(config, data, pretrained=pretrained)
    return ClassifierModule(network, config.training, data, config.seed, config.augmentation)


def build_classifier(config: BaselineConfig, data: ImageData, *, pretrained: bool = True) -> Classifier:
    """The network at the start of training; classes and image shape follow from the data.

    Its random weights are a function of the seed.

    Args:
        config: The config of the run.
        data: Its data.
        pretrained: Whether to load the pre-trained weights of a network of timm.

    Raises:
        InputError: As `pretrained_network`.
    """
    num_classes, image_shape = len(data.class_names), data.preprocessing.image_shape
    model, batch_size = config.model, config.training.batch_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if model.timm_name:
            last_batch = len(data.split("train")) % batch_size or batch_size
            return pretrained_network(
                model.timm_name, model.weights, num_classes, image_shape, smallest_batch=last_batch, load=pretrained
            )
        network_config = ResNetConfig(
            widths=model.widths, blocks=model.blocks, num_classes=num_classes, image_shape=image_shape
        )
        check_fits(network_config, config.training, data)
        return ResNet(network_config)
