"""Muon: gradient descent with momentum whose update of every matrix is orthogonalised."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from pixelbayes.models.layers import Conv2d

SMALLEST = 16  # rows and columns of the smallest matrix that Muon updates
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that brings all singular values close to 1 in five steps
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Muon for matrices, and AdamW for all other parameters, in one optimizer.

        m <- mu m + (1 - mu) g,  u = NewtonSchulz(mu m + (1 - mu) g),
        W <- (1 - lr decay) W - lr max(1, rows / columns)^0.5 u

    Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks,
    https://kellerjordan.github.io/posts/muon. A convolution is the matrix (output channels, everything else).
    `torch.optim.Muon` takes two-dimensional parameters only, and no PyTorch before 2.9 has it.

    Args:
        groups: Parameter groups. A group with `output_axis` 0 or 1 has weights with the output channels on that axis,
            and is updated by Muon. All others are updated by AdamW.
        lr, weight_decay: Defaults of the groups.
        momentum: mu.
        betas, eps: Of AdamW.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "betas": betas,
            "eps": eps,
            "output_axis": None,
        }
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates all parameters that have a gradient; returns the loss of the closure, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._adamw if group["output_axis"] is None else self._muon
            update(group, [weight for weight in group["params"] if weight.grad is not None])
        return loss

    def _muon(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        axis, rate, momentum = group["output_axis"], group["lr"], group["momentum"]
        by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["momentum"] = torch.zeros_like(weight)
            assert weight.grad is not None
            average = state["momentum"].lerp_(weight.grad, 1 - momentum)
            direction = as_matrix(weight.grad.lerp(average, momentum), axis)
            by_shape[direction.shape].append((weight, direction))
        for (rows, columns), pairs in by_shape.items():
            updates = orthogonalised(torch.stack([direction for _, direction in pairs]))
            scale = rate * max(1.0, rows / columns) ** 0.5
            for (weight, _), update in zip(pairs, updates, strict=True):
                weight.mul_(1 - rate * group["weight_decay"])
                weight.sub_(update.view_as(weight.transpose(0, axis)).transpose(0, axis), alpha=scale)

    def _adamw(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        states = [self.state[weight] for weight in weights]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        adamw(
            weights,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def as_matrix(weight: Tensor, output_axis: int) -> Tensor:
    """The weight of a convolution as a matrix, (output channels, everything else)."""
    return weight.transpose(0, output_axis).flatten(1)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Brings the singular values of matrices (N, rows, columns) close to 1, by five Newton-Schulz steps.

    The singular vectors stay. The values end between 0.7 and 1.2, which is close enough for an update.
    """
    a, b, c = COEFFICIENTS
    x = matrices.to(torch.promote_types(matrices.dtype, torch.float32))
    is_tall = x.shape[1] > x.shape[2]
    if is_tall:
        x = x.mT
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = x.mT if is_tall else x
    return found.to(matrices.dtype)


def matrix_groups(network: nn.Module, last: Iterable[nn.Module] = (), **options: Any) -> list[dict[str, Any]]:
    """Parameter groups for `Muon`: the weights of convolutions, then all other parameters.

    With weight normalisation the matrix is the direction v. Matrices with fewer than 16 rows or columns, and the last
    layers, are left to AdamW.

    Args:
        network: The network.
        last: Its last layers.
        options: Options of the groups of matrices, such as lr.
    """
    left_out = set(last)
    by_axis: dict[int, list[Tensor]] = {0: [], 1: []}
    for module in network.modules():
        if module not in left_out:
            for weight, axis in _convolution_weights(module):
                if min(as_matrix(weight, axis).shape) >= SMALLEST:
                    by_axis[axis].append(weight)
    matrices = {id(weight) for weights in by_axis.values() for weight in weights}
    others = [weight for weight in network.parameters() if id(weight) not in matrices]
    groups = [{"params": weights, "output_axis": axis, **options} for axis, weights in by_axis.items() if weights]
    return [*groups, {"params": others}]


def _convolution_weights(module: nn.Module) -> Iterator[tuple[Tensor, int]]:
    """The weight of a convolution and the axis of its output channels; nothing for another module."""
    if isinstance(module, Conv2d):
        yield module.v, 1 - module.input_axis
    elif isinstance(module, nn.Conv2d):
        yield module.weight, 0
