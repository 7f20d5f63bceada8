"""Exponential moving average of the weights."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

Network = TypeVar("Network", bound=nn.Module)


def warmed_up_decay(decay: float, updates: int) -> float:
    """min(decay, (1 + t) / (10 + t)) after t updates: a short average at first, which soon forgets the initial weights.

    >>> warmed_up_decay(0.999, 0), warmed_up_decay(0.999, 100_000)
    (0.1, 0.999)
    """
    return min(decay, (1 + updates) / (10 + updates))


class ExponentialMovingAverage(nn.Module, Generic[Network]):
    """The moving average of a network's weights: average <- d average + (1 - d) weights, with d = `warmed_up_decay`.

    Floating-point buffers are averaged too; other buffers are copied. With decay 0 the average is the network. Polyak
    and Juditsky (1992); the warm-up is that of TensorFlow's `ExponentialMovingAverage`. This is not torch's
    `AveragedModel`, because its counter makes a GPU wait at every step.

    Args:
        network: The network, with its initial weights. `module` holds the average, initially a copy.
        decay: Decay after the warm-up.
    """

    def __init__(self, network: Network, decay: float):
        super().__init__()
        self.module = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    def update(self, network: Network, updates: int) -> None:
        """Moves the average towards the weights.

        Args:
            network: The network after its step.
            updates: Number of updates before this one.
        """
        pairs = list(zip(_tensors(self.module), _tensors(network), strict=True))
        averages, current = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        move = get_ema_multi_avg_fn(warmed_up_decay(self.decay, updates))
        move(averages, current, updates)
        for average, tensor in pairs:
            if not average.is_floating_point():
                average.copy_(tensor)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
