"""Which images a step sees: a function of (seed, step)."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pixelbayes.utils.randomness import permutation


class ShuffledBatches:
    """Indices of the training images, a batch at a time; iterating runs from where training stands to the epoch's end.

    Args:
        count: Number of images.
        batch_size: Images in a batch; an epoch's last batch may be smaller.
        seed: With the epoch, fixes the order.
        step: Tells the step that comes next, so that a resumed epoch goes on in its middle.
        device: Where the images are.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        step: Callable[[], int] = lambda: 0,
        device: torch.device | str = "cpu",
    ):
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.step = step
        self.device = device

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        epoch, first = divmod(self.step(), len(self))
        order = permutation(self.seed, "shuffle", epoch, self.count, self.device)
        yield from order.split(self.batch_size)[first:]


class OrderedBatches:
    """Indices 0 .. count-1, a batch at a time."""

    def __init__(self, count: int, batch_size: int, device: torch.device | str = "cpu"):
        self.batches = torch.arange(count, device=device).split(batch_size)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.batches)
