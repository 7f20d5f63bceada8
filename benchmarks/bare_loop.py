"""A step of training without Lightning: what its loop, its hooks and its logging are measured against."""

from collections.abc import Callable

import torch
from torch import Tensor

from pixelbayes.models.layers import initialise_from_data
from pixelbayes.training.module import TrainingModule
from pixelbayes.training.objectives import generative
from pixelbayes.utils.compile import compiled
from pixelbayes.utils.randomness import Key


def bare_step(module: TrainingModule) -> Callable[[int, Tensor], Tensor]:
    """A function (step, index) -> loss that trains `module`'s network as Lightning would have it do.

    The same work: augmentation (its draws are step 0's always), objective, precision, clipping, optimizer and moving
    average. No schedule, no logging, no metric, no callback, and nobody looks whether the loss is finite.

    Args:
        module: Made for this alone; its config says batch size, precision and `compile`.
    """
    config, network = module.config, module.network
    bf16 = config.precision == "bf16"
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
    objective = compiled(generative, module.device) if config.compile else generative

    def step(number: int, index: Tensor) -> Tensor:
        batch = module.batch(index)
        if number == 0:
            initialise_from_data(network, module.x(batch.pixels), batch.label)
        with torch.autocast(module.device.type, torch.bfloat16, enabled=bf16):
            loss = objective(network, batch, Key.of(module.seed, "training", number, index))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip or float("inf"))
        optimizer.step()
        optimizer.zero_grad()
        module.averaged.update(network, number)
        return loss.detach()

    return step
