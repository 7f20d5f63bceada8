"""Exponential moving average of the weights."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = list[Tensor] | tuple[Tensor, ...]


def average_decay(decay: float, updates: int) -> float:
    """min(decay, (1 + t) / (10 + t)): short at first, so that the random start is soon forgotten.

    >>> average_decay(0.999, 0), average_decay(0.999, 100_000)
    (0.1, 0.999)
    """
    return min(decay, (1 + updates) / (10 + updates))


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of the network whose `update_parameters(network)` moves it by 1 - average_decay; with decay 0 it follows.

    Running statistics are averaged as weights are. Polyak and Juditsky (1992); the warm-up is TensorFlow's
    `ExponentialMovingAverage`.
    """

    @torch.no_grad()
    def update(averages: Tensors, currents: Tensors, updates: Tensor | int) -> None:
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, currents, 1 - average_decay(decay, int(updates) - 1))
        else:  # a counter
            torch._foreach_copy_(averages, currents)

    averaged = AveragedModel(network, multi_avg_fn=update, use_buffers=True).requires_grad_(False)
    averaged.n_averaged.fill_(1)  # the start counts as averaged: at 0 torch would copy the first update over it
    return averaged
