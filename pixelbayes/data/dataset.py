"""Labelled images in memory, the result of loading any source."""

import hashlib
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.utils.errors import InputError

UNKNOWN_LABEL = -1


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split.

    Args:
        pixels: uint8 (N, C, H, W), values 0 .. levels-1.
        labels: int64 (N,), 0 .. Y-1, or `UNKNOWN_LABEL`.
        names: Name of each image in messages and tables: a file path within its source, or "digits/17".
    """

    pixels: Tensor
    labels: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: Tensor) -> "Split":
        """The images of these indices, int64 (n,), in this order."""
        return Split(self.pixels[index], self.labels[index], tuple(self.names[each] for each in index.tolist()))

    def fingerprint(self) -> str:
        """A hash of the pixels and labels, 16 hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=8)
        for part in (self.pixels, self.labels):
            digest.update(part.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def unlabelled(self) -> "Split":
        """The same images with unknown labels."""
        return replace(self, labels=torch.full_like(self.labels, UNKNOWN_LABEL))


@dataclass(frozen=True, eq=False)
class ImageData:
    """The splits of one source after preprocessing.

    Args:
        splits: The available splits by name: "train", "validation", "test".
        class_names: Name of each label, Y of them.
        preprocessing: How the images were converted to pixels.
        source: As in `DataConfig`.
        cut_from_train: Names of the splits that the source lacks and that were cut from its training images.
        left_out: The number of files, rows or images of the source that are not used, by reason.
        written_labels: How the source writes each label, Y of them, such as "0"; empty if by the class names.
    """

    splits: dict[str, Split]
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    source: str
    cut_from_train: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)
    written_labels: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """A hash of the pixels and labels of all splits, 32 hexadecimal digits. It changes with the source."""
        digest = hashlib.blake2b(digest_size=16)
        for name, split in self.splits.items():
            for part in (name.encode(), split.pixels.numpy().tobytes(), split.labels.numpy().tobytes()):
                digest.update(part)
        return digest.hexdigest()

    def split(self, name: str) -> Split:
        """The split of this name.

        Raises:
            InputError: If there is none.
        """
        if name not in self.splits:
            available = ", ".join(self.splits)
            raise InputError(f"{self.source} has no {name!r} split, only {available}; add it or name another")
        return self.splits[name]
