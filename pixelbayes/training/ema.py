"""Exponential moving average of the weights."""

import copy

import torch
from torch import nn


def average_decay(decay: float, updates: int) -> float:
    """min(decay, (1 + t) / (10 + t)): short at first, so that the random start is soon forgotten.

    >>> average_decay(0.999, 0), average_decay(0.999, 100_000)
    (0.1, 0.999)
    """
    return min(decay, (1 + updates) / (10 + updates))


class MovingAverage(nn.Module):
    """A copy of a network that follows it, by 1 - average_decay at each update; with decay 0 it is the network.

    Running statistics are averaged as weights are. Polyak and Juditsky (1992); the warm-up is TensorFlow's
    `ExponentialMovingAverage`. Not torch's `AveragedModel`, whose counter makes a GPU wait at every step.

    Args:
        network: Where the average starts; `module` is the copy.
        decay: At its longest.
    """

    def __init__(self, network: nn.Module, decay: float):
        super().__init__()
        self.module = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, updates: int) -> None:
        """Moves towards the network; `updates` have gone before."""
        moved = [(mine, its) for mine, its in zip(_tensors(self.module), _tensors(network), strict=True)]
        floating = [pair for pair in moved if pair[0].is_floating_point()]
        averages, currents = map(list, zip(*floating, strict=True))
        torch._foreach_lerp_(averages, currents, 1 - average_decay(self.decay, updates))
        for counter, its in moved:
            if not counter.is_floating_point():
                counter.copy_(its)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
