"""Scores all classes in one pass: the batch expands from B images to B Y rows where the label first has an effect.

Everything that does not depend on the label is computed once per image. This uses only two properties of the network: a
row of the batch depends on its own image and label, and the label enters through `Fusion.apply_at`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pixelbayes.models.fusion import Condition
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.utils.randomness import Key

WITH_WEIGHTS = {F.conv2d, F.conv_transpose2d, F.linear}  # their weight arguments have no batch dimension


class ClassScores(NamedTuple):
    """What one pass over the images says about their classes."""

    log_prob: Tensor
    """log p(x | c) of every image under each label, (B, Y), in nats"""
    class_logits: Tensor | None
    """logits of the auxiliary head, (B, number of classes); None if the network has none"""


def score_classes(
    network: PixelCNN,
    x: Tensor,
    label: Tensor,
    view: Tensor | None = None,
    key: Key | None = None,
    visible: Tensor | None = None,
) -> ClassScores:
    """Scores every image under each label.

    Args:
        network: The network. It computes in its own precision, the likelihood in that of x.
        x: Images, (B, C, H, W).
        label: int64 (Y,).
        view: The view of each image, int64 (B,); None for view 0.
        key, visible: As in `PixelCNN.forward`. All labels of an image share its dropout masks.
    """
    images, count = len(x), len(label)
    condition = Condition(label.repeat(images), view, labels_per_image=count)
    with ExpandOverClasses(images, count):
        params, class_logits = network.outputs(x.to(network.to_params.bias.dtype), condition, key, visible)
    # params has B Y rows, or B if the network ignores labels
    log_prob = network.likelihood(params).log_prob(expand(x, len(params))).sum(dim=(1, 2))
    return ClassScores(log_prob.view(images, -1).expand(images, count), class_logits)


class ExpandOverClasses(TorchFunctionMode):
    """Expands B images to B Y rows, Y adjacent rows per image, where an operation combines both.

    Without this mode such an operation would fail, so nothing else changes.
    """

    def __init__(self, images: int, classes: int):
        super().__init__()
        self.images = images
        self.rows = images * classes

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if args and func not in WITH_WEIGHTS:
            is_list = isinstance(args[0], tuple | list)  # as in torch.cat
            operands = args[0] if is_list else args
            if any(self.has_batch(part, self.rows) for part in operands):
                operands = tuple(
                    expand(part, self.rows) if self.has_batch(part, self.images) else part for part in operands
                )
                args = (operands, *args[1:]) if is_list else operands
        return func(*args, **(kwargs or {}))

    @staticmethod
    def has_batch(part: object, batch: int) -> bool:
        return isinstance(part, Tensor) and part.ndim == 4 and len(part) == batch


def expand(h: Tensor, rows: int) -> Tensor:
    """(B, ...) -> (B Y, ...), each image repeated Y times; a tensor that has B Y rows already is returned unchanged."""
    return h if len(h) == rows else h.repeat_interleave(rows // len(h), dim=0)
