"""The configs of runs, and the network that a run starts from."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import yaml

from pixelbayes.checkpoints import checkpoint
from pixelbayes.data import AugmentationConfig, DataConfig, ImageData
from pixelbayes.experiments.sizes import check_fits
from pixelbayes.images.pixels import to_x
from pixelbayes.models.fusion import Composition
from pixelbayes.models.pixelcnn import Architecture, PixelCNN, PixelCNNConfig
from pixelbayes.training import OptimizationConfig, TrainingConfig
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import check_seed

if TYPE_CHECKING:
    from pixelbayes.training.module import TrainingModule
    from pixelbayes.training.teacher import Teacher

ORDER = ("data", "augmentation", "model", "training", "seed", "sweep")  # of the parts of a config in YAML


@documented
@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The fields that every kind of run has."""

    data: DataConfig = field(default_factory=DataConfig)
    """the images"""
    training: OptimizationConfig = field(default_factory=OptimizationConfig)
    """how to train"""
    seed: int = 0
    """random seed of initial weights, shuffling, augmentation, dropout and sampling, a whole number within 64 bits"""

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def as_plain(self) -> dict[str, Any]:
        """Nested dictionaries, lists and plain values, as in YAML and JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return {name: plain[name] for name in ORDER if name in plain}

    def as_yaml(self) -> str:
        """The config as YAML."""
        text: str = yaml.safe_dump(self.as_plain(), sort_keys=False)
        return text


@documented
@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(RunConfig):
    """Everything that determines a run of a PixelCNN++."""

    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """random changes of the training images"""
    model: Architecture = field(default_factory=Architecture)
    """the network"""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """how to train it"""

    def __post_init__(self) -> None:
        super().__post_init__()
        active = self.augmentation.active
        if self.model.condition_on_augmentation and not (active and self.augmentation.share < 1):
            raise InputError(
                f"condition_on_augmentation is true, but {'all' if active else 'no'} images are augmented; "
                "choose an augmentation and a share below 1"
            )
        training = self.training
        if training.teacher and not (training.classification_weight or self.model.has_auxiliary_head):
            raise InputError(
                "teacher is given, but no term of the loss uses it; set classification_weight above 0 or "
                "auxiliary_head to true"
            )
        if self.model.context_dropout and training.classification_weight and not training.likelihood_epochs:
            raise InputError(
                "context_dropout needs epochs that train on the likelihood only, but classification_start is 0; "
                "set classification_start above 0"
            )


def build_network(config: ExperimentConfig, data: ImageData) -> PixelCNN:
    """The network at the start of training; classes and image shape follow from the data.

    Its weights are a function of the seed, or those of `training.init_from`.

    Raises:
        InputError: If the network of `init_from` has another architecture, or other classes, or if the network is too
            large for the memory of the device.
    """
    network_config = PixelCNNConfig(
        **dataclasses.asdict(config.model),
        num_classes=len(data.class_names),
        image_shape=data.preprocessing.image_shape,
    )
    check_fits(network_config, config.training, data)
    if config.model.normalise:
        mean, std = _channel_moments(data)
        network_config = dataclasses.replace(network_config, mean=mean, std=std)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = PixelCNN(network_config)
    if config.training.init_from:
        _load_initial_weights(network, config.training.init_from, data)
    return network


def training_module(config: ExperimentConfig, data: ImageData, teacher: "Teacher | None" = None) -> "TrainingModule":
    """What a config trains on the data; `teacher` as in `TrainingModule`."""
    from pixelbayes.training.module import TrainingModule  # Lightning takes seconds to import

    network = build_network(config, data)
    return TrainingModule(
        network, config.training, data, config.seed, augmentation=config.augmentation, teacher=teacher
    )


def _load_initial_weights(network: PixelCNN, init_from: str, data: ImageData) -> None:
    """Copies the weights of a trained network.

    Dropout and context dropout may differ. A network that was not conditioned on views or augmentation may become so,
    because the layer that conditions on them is initialised to have no effect. Everything else must be the same.
    """
    trained = checkpoint.load(init_from)
    if trained.class_names != data.class_names:
        raise InputError(
            f"init_from {init_from}: its classes are {', '.join(trained.class_names)}, not those of {data.source}"
        )
    new, old = (
        dataclasses.replace(config, auxiliary_head=config.has_auxiliary_head)  # which they may leave open
        for config in (network.config, trained.network.config)
    )
    newly_conditioned = new.num_conditions > old.num_conditions == 1
    may_differ = {"dropout", "context_dropout", "context_patch"}
    if newly_conditioned:
        may_differ |= {"views", "condition_on_augmentation"}
    differing = [
        name
        for name in (field.name for field in dataclasses.fields(new))
        if name not in may_differ and getattr(old, name) != getattr(new, name)
    ]
    if differing:
        raise InputError(f"init_from {init_from}: its network has other values of {', '.join(differing)}")
    weights = trained.network.state_dict()
    if newly_conditioned and not isinstance(trained.network.fusion, Composition):
        # the single fusion becomes the first part of a composition
        weights = {re.sub(r"^fusion\.", "fusion.parts.0.", name): weight for name, weight in weights.items()}
    network.load_state_dict(network.state_dict() | weights)


def _channel_moments(data: ImageData) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of x over the training images, per channel."""
    x = to_x(data.split("train").pixels, data.preprocessing.image_shape.levels, torch.float64)  # (N, C, H, W)
    std, mean = torch.std_mean(x, dim=(0, 2, 3), correction=0)
    return tuple(mean.tolist()), tuple(std.clamp(min=1e-3).tolist())  # keeps a constant channel finite
