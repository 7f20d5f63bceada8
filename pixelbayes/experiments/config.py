"""What decides a run of a density, and the network that it starts from."""

import dataclasses
import re
from dataclasses import dataclass, field

import torch

from pixelbayes.checkpoints import checkpoint
from pixelbayes.data import AugmentationConfig, ImageData
from pixelbayes.experiments.run_folder import RunConfig
from pixelbayes.images.pixels import to_x
from pixelbayes.models.fusion import Composition
from pixelbayes.models.pixelcnn import Architecture, PixelCNN, PixelCNNConfig
from pixelbayes.training import TrainingConfig
from pixelbayes.utils.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(RunConfig):
    """Everything that decides a run."""

    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: Architecture = field(default_factory=Architecture)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if self.model.tell_changed and not (self.augmentation.active and self.augmentation.share < 1):
            raise InputError(
                f"tell_changed is true, but augmentation changes {'all' if self.augmentation.active else 'no'} images; "
                "it wants augmentation, and a share of images below 1, so that both kinds are learnt"
            )
        training = self.training
        if self.model.context_dropout and training.posterior_weight and not training.generative_epochs:
            raise InputError(
                "context_dropout is for epochs of likelihood alone, but the posterior counts from the first one; "
                "give posterior_from"
            )


def build_network(config: ExperimentConfig, data: ImageData) -> PixelCNN:
    """The network to train: its weights are a function of the seed, or those of `training.start`.

    The data tell classes, channels, levels and size.

    Raises:
        InputError: If the network to start from is another one, or was trained on other classes or levels.
    """
    shape = PixelCNNConfig(
        **dataclasses.asdict(config.model),
        num_classes=len(data.class_names),
        channels=data.preprocessing.channels,
        levels=data.preprocessing.levels,
        image_size=data.preprocessing.image_size,
    )
    if config.model.normalise:
        mean, std = _moments(data)
        shape = dataclasses.replace(shape, mean=mean, std=std)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = PixelCNN(shape)
    if config.training.start:
        _start(network, config.training.start, data)
    return network


def _start(network: PixelCNN, start: str, data: ImageData) -> None:
    """Gives a network the weights to go on from.

    Its dropout, of activations and of context, is its own; it may be told of views and changes that the trained one was
    not told of, for what tells it starts without effect; all else must be as it was.
    """
    trained = checkpoint.load(start)
    if trained.class_names != data.class_names:
        raise InputError(f"start {start}: its classes are {', '.join(trained.class_names)}, not those of {data.source}")
    asked, before = network.config, trained.network.config
    newly_told = asked.tellings > before.tellings == 1
    own = {"dropout", "context_dropout", "context_patch"} | ({"views", "tell_changed"} if newly_told else set())
    changed = [
        name
        for name in (field.name for field in dataclasses.fields(asked))
        if name not in own and getattr(before, name) != getattr(asked, name)
    ]
    if changed:
        raise InputError(f"start {start}: its network differs from what was asked in {', '.join(changed)}")
    weights = trained.network.state_dict()
    if newly_told and not isinstance(trained.network.fusion, Composition):  # a single fusion becomes the first of two
        weights = {re.sub(r"^fusion\.", "fusion.parts.0.", name): weight for name, weight in weights.items()}
    network.load_state_dict(network.state_dict() | weights)


def _moments(data: ImageData) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of x over the training images, for each channel."""
    x = to_x(data.split("train").pixels, data.preprocessing.levels, torch.float64)  # (N, C, H, W)
    std, mean = torch.std_mean(x, dim=(0, 2, 3), correction=0)
    return tuple(mean.tolist()), tuple(std.clamp(min=1e-3).tolist())  # a channel that never varies stays finite
