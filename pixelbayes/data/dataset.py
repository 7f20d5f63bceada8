"""A labelled set of images in memory: what every source becomes."""

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.utils.errors import InputError


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split.

    Args:
        pixels: uint8 (N, C, H, W), values 0 .. levels-1.
        labels: int64 (N,), 0 .. Y-1, or -1 where unknown.
        names: What people call each image: a file path within its source, or "digits/17".
    """

    pixels: Tensor
    labels: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: Tensor) -> "Split":
        """Those of its images, by number."""
        return Split(self.pixels[index], self.labels[index], tuple(self.names[each] for each in index.tolist()))

    def unlabelled(self) -> "Split":
        """The same images, their labels unknown."""
        return replace(self, labels=torch.full_like(self.labels, -1))


@dataclass(frozen=True, eq=False)
class ImageData:
    """The splits of one source, and what was done to its images.

    Args:
        splits: By name: "train", "validation", "test", those that exist.
        class_names: Y names in label order.
        preprocessing: What turned each picture into pixels.
        source: As in `DataConfig`.
        cut_from_train: The splits the source did not have, cut from its training images.
    """

    splits: dict[str, Split]
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    source: str
    cut_from_train: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """A hash of every pixel and label, to tell whether a source has changed."""
        digest = hashlib.blake2b(digest_size=16)
        for name, split in self.splits.items():
            for part in (name.encode(), split.pixels.numpy().tobytes(), split.labels.numpy().tobytes()):
                digest.update(part)
        return digest.hexdigest()

    def split(self, name: str) -> Split:
        if name not in self.splits:
            there = ", ".join(self.splits)
            raise InputError(f"{self.source} has no {name!r} split, only {there}; add it or name another")
        return self.splits[name]
