"""The images of each step, as a function of seed and step."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pixelbayes.utils.randomness import permutation


class ShuffledBatches:
    """Batches of training images in random order, as indices.

    Iterating starts at the current step and ends with the epoch. So a resumed epoch continues where it stopped.

    Args:
        count: Number of images.
        batch_size: Images per batch; the last batch of an epoch may be smaller.
        seed: Random seed; the order is a function of the seed and the epoch.
        step: Returns the current step.
        device: Device of the indices.
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
        self.batch_size = min(batch_size, max(count, 1))
        self.seed = seed
        self.step = step
        self.device = device

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        epoch, start = divmod(self.step(), len(self))
        order = permutation(self.seed, "shuffle", epoch, self.count, self.device)
        yield from torch.split(order, self.batch_size)[start:]


class OrderedBatches:
    """Batches of all images in order, as indices 0 .. count-1."""

    def __init__(self, count: int, batch_size: int, device: torch.device | str = "cpu"):
        self.batches = torch.split(torch.arange(count, device=device), min(batch_size, max(count, 1)))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.batches)
