"""Labelled images in arrays: what npz, idx and CIFAR files have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixelbayes.data.dataset import UNKNOWN_LABEL
from pixelbayes.data.listing import Listing, Record, in_label_order, label_text, relabel, written_labels
from pixelbayes.utils.archives import AnyPath


class NamedArray(NamedTuple):
    """An array and its name in messages."""

    name: str
    values: NDArray[Any]


@dataclass(frozen=True, eq=False)
class LabelledArrays:
    """Images and their labels.

    Args:
        name: Name of the images in messages and tables; image i is called `name/i`.
        images: uint8 (N, H, W) or (N, H, W, 3).
        labels: Whole numbers or text, (N,); -1 and an empty text are unknown.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[Any]


def array_faults(where: AnyPath, images: NamedArray, labels: NamedArray) -> list[str]:
    """Checks arrays that should be `images` and `labels` of `LabelledArrays`.

    Args:
        where: The file in messages.
        images: The images.
        labels: Their labels.

    Returns:
        One line per fault.
    """
    x, y = images.values, labels.values
    faults = []
    if x.dtype != np.uint8:
        remedy = "save uint8; (255 * images).round() converts floats in [0, 1]"
        faults.append(f"{where}: {images.name} has type {x.dtype}, expected uint8 with values 0 .. 255; {remedy}")
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] != 3) or 0 in x.shape[1:]:
        channels_first = x.ndim == 4 and x.shape[1] in (1, 3)
        remedy = "save images.transpose(0, 2, 3, 1)" if channels_first else "reshape it"
        faults.append(f"{where}: {images.name} has shape {x.shape}, expected (N, H, W) or (N, H, W, 3); {remedy}")
    if y.dtype.kind not in "iuU":
        remedy = "save labels.astype(int)"
        faults.append(f"{where}: {labels.name} has type {y.dtype}, expected whole numbers or class names; {remedy}")
    if y.ndim != 1:
        remedy = "several labels per image cannot be used; if each row has a single 1, save labels.argmax(1)"
        faults.append(f"{where}: {labels.name} has shape {y.shape}, expected one label per image, (N,); {remedy}")
    elif x.ndim and len(x) != len(y):
        remedy = "save one label for each image, in the same order"
        faults.append(f"{where}: {images.name} has {len(x)} images, but {labels.name} has {len(y)} labels; {remedy}")
    return faults


def list_arrays(
    splits: Mapping[str, Sequence[LabelledArrays]],
    class_names: tuple[str, ...],
    where: AnyPath,
    *,
    faults: list[str],
    left_out: dict[str, int],
    found: tuple[str, ...] = (),
    undivided: bool = False,
) -> Listing:
    """Lists labelled arrays.

    Args:
        splits: The arrays of each split, without faults.
        class_names: Name of each label; empty for the classes of the source.
        where: Name of the source in messages.
        faults: As in `Listing`, and likewise `left_out` and `undivided`.
        left_out: See there.
        found: The classes of the source in their order; by default all labels, in the order of numbers or the alphabet.
        undivided: See there.
    """
    every = (label_text(label) for parts in splits.values() for part in parts for label in set(part.labels.tolist()))
    found = found or in_label_order(name for name in every if name)
    class_names = class_names or found
    labels, unknown = relabel(found, class_names, str(where))
    label_of = dict(zip(found, labels, strict=True))

    def records(part: LabelledArrays) -> list[Record]:
        return [
            Record(f"{part.name}/{i}", label_of.get(label_text(label), UNKNOWN_LABEL), partial(Image.fromarray, image))
            for i, (image, label) in enumerate(zip(part.images, part.labels.tolist(), strict=True))
        ]

    return Listing(
        splits={split: [record for part in parts for record in records(part)] for split, parts in splits.items()},
        class_names=class_names,
        faults=[*faults, *unknown],
        left_out=left_out,
        undivided=undivided,
        written_labels=written_labels(found, class_names),
    )
