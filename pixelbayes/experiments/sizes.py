"""The size of networks and samples before they are made, and the refusal of what no memory holds."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from torch import nn

from pixelbayes.data import ImageData
from pixelbayes.images.shape import ImageShape
from pixelbayes.inference.scoring import bytes_of_row
from pixelbayes.models.pixelcnn import PixelCNN, PixelCNNConfig
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.training import OptimizationConfig, TrainingConfig
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.memory import check_memory

COPIES = 4  # of the weights in training, at least: themselves, gradient, moving average, a moment of the optimizer
SAMPLE = 16  # bytes of the label and the index of a sample, besides its pixels


@dataclasses.dataclass(frozen=True)
class NetworkSize:
    """What grows linearly with the number of blocks of a network.

    Args:
        parameters: Number of learned parameters.
        row: Bytes that one image takes on its way through the network, at least.
    """

    parameters: float
    row: float


def check_fits(config: PixelCNNConfig | ResNetConfig, training: OptimizationConfig, data: ImageData) -> None:
    """Checks that a network can be trained, and its samples drawn, within the memory there is, before it is built.

    Raises:
        InputError: If not.
    """
    shape, classes = config.image_shape, config.num_classes
    if isinstance(training, TrainingConfig):
        check_samples_fit(shape, training.samples_per_class, classes)
        check_samples_fit(shape, training.fid_samples, classes)
    size = network_size(config)
    element = 8 if training.precision == "float64" else 4
    shared = training.devices if isinstance(training, TrainingConfig) else 1
    images = min(-(-training.batch_size // shared), len(data.split("train")))
    check_memory(
        COPIES * element * size.parameters + images * size.row,
        f"a network of {size.parameters:,.0f} parameters and a batch of {images:,} images",
        "make the network, the images or batch_size smaller",
        pick_device(training.device),
    )


def check_samples_fit(shape: ImageShape, count: int, classes: int) -> None:
    """Checks that `count` samples of each of some classes fit into memory, before they are drawn.

    Raises:
        InputError: If not.
    """
    check_memory(
        count * classes * (shape.dims + SAMPLE),
        f"{count * classes:,} samples of {shape.height} x {shape.width} pixels",
        "draw fewer at a time",
    )


@cache
def network_size(config: PixelCNNConfig | ResNetConfig) -> NetworkSize:
    """The size of a network. It is computed from networks of one and of two blocks, whose weights hold no numbers."""
    if isinstance(config, PixelCNNConfig):
        return _extrapolated((config.num_blocks,), partial(_pixelcnn, config))
    return _extrapolated(config.blocks, partial(_resnet, config))


def _pixelcnn(config: PixelCNNConfig, blocks: Sequence[int]) -> NetworkSize:
    network = PixelCNN(dataclasses.replace(config, num_blocks=blocks[0]))
    return NetworkSize(_count(network), bytes_of_row(network))


def _resnet(config: ResNetConfig, blocks: Sequence[int]) -> NetworkSize:
    network = ResNet(dataclasses.replace(config, blocks=tuple(blocks)))
    return NetworkSize(_count(network), 4 * config.image_shape.dims)


def _count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _extrapolated(blocks: Sequence[int], measure: Callable[[Sequence[int]], NetworkSize]) -> NetworkSize:
    """The size at these numbers of blocks, given that each block adds the same."""
    ones = [1] * len(blocks)
    try:
        with torch.device("meta"):
            least = measure(ones)
            more = [measure([*ones[:stage], 2, *ones[stage + 1 :]]) for stage in range(len(blocks))]
    except (RuntimeError, TypeError) as error:
        if "verflow" not in str(error):  # more numbers than a tensor can have
            raise
        return NetworkSize(2.0**63, 0.0)
    return NetworkSize(
        least.parameters
        + sum((n - 1) * (one.parameters - least.parameters) for n, one in zip(blocks, more, strict=True)),
        least.row + sum((n - 1) * (one.row - least.row) for n, one in zip(blocks, more, strict=True)),
    )
