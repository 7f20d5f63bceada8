"""A training step without Lightning, to measure the cost of its loop, hooks and logging."""

from collections.abc import Callable

import torch
from torch import Tensor

from pixelbayes.models.layers import initialise_from_data
from pixelbayes.training.module import TrainingModule
from pixelbayes.training.objectives import likelihood_loss
from pixelbayes.utils.compile import compile_training_step
from pixelbayes.utils.randomness import Key


def bare_step(module: TrainingModule) -> Callable[[int, Tensor], Tensor]:
    """A function (step, index) -> loss that trains the network of a module.

    It does the same work as training with Lightning: augmentation (always with the draws of step 0), objective,
    precision, clipping, optimizer and moving average. It has no schedule, logging, metrics, callbacks or finite check.

    Args:
        module: A module for this purpose only; its config states batch size, precision and `compile`.
    """
    config, network = module.config, module.network
    bf16 = config.precision == "bf16"
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
    objective = compile_training_step(likelihood_loss, module.device) if config.compile else likelihood_loss

    def step(number: int, index: Tensor) -> Tensor:
        batch = module.training_batch(index)
        if number == 0:
            initialise_from_data(
                network, module.to_x(batch.pixels), batch.condition, module.key("initialisation", index)
            )
            module.average.load_state_dict(network.state_dict())
        with torch.autocast(module.device.type, torch.bfloat16, enabled=bf16):
            loss = objective(network, batch, Key.of(module.seed, "training", number, index))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip or float("inf"))
        optimizer.step()
        optimizer.zero_grad()
        module.ema.update(network, number)
        return loss.detach()

    return step
