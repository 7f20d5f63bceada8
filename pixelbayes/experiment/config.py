"""What decides a run of a density, and the network that it starts from."""

import dataclasses
from dataclasses import dataclass, field

import torch

from pixelbayes import checkpoint
from pixelbayes.data import AugmentationConfig, ImageData
from pixelbayes.errors import InputError
from pixelbayes.model import Architecture, PixelCNN, PixelCNNConfig
from pixelbayes.pixels import to_x
from pixelbayes.runs import RunConfig
from pixelbayes.training import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(RunConfig):
    """Everything that decides a run."""

    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: Architecture = field(default_factory=Architecture)
    training: TrainingConfig = field(default_factory=TrainingConfig)


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
    if config.training.start:
        return _trained_network(config.training.start, shape, data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return PixelCNN(shape)


def _trained_network(start: str, shape: PixelCNNConfig, data: ImageData) -> PixelCNN:
    """The network to go on from; its dropout is this run's, all else must be as it was."""
    trained = checkpoint.load(start)
    if trained.class_names != data.class_names:
        raise InputError(f"start {start}: its classes are {', '.join(trained.class_names)}, not those of {data.source}")
    before = dataclasses.replace(trained.network.config, dropout=shape.dropout)
    changed = [
        field.name for field in dataclasses.fields(shape) if getattr(before, field.name) != getattr(shape, field.name)
    ]
    if changed:
        raise InputError(f"start {start}: its network differs from what was asked in {', '.join(changed)}")
    network = PixelCNN(shape)
    network.load_state_dict(trained.network.state_dict())
    return network


def _moments(data: ImageData) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of x over the training images, for each channel."""
    x = to_x(data.split("train").pixels, data.preprocessing.levels, torch.float64)  # (N, C, H, W)
    std, mean = torch.std_mean(x, dim=(0, 2, 3), correction=0)
    return tuple(mean.tolist()), tuple(std.clamp(min=1e-3).tolist())  # a channel that never varies stays finite
