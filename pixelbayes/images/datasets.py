"""PyTorch data sets of pairs of an image and a label, such as those of torchvision."""

from typing import Any, TypeAlias

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset

from pixelbayes.utils.errors import InputError

AnyDataset: TypeAlias = "Dataset[Any]"


def length(dataset: AnyDataset) -> int:
    """Number of items.

    Raises:
        InputError: If it is not known, or the first item is no image, as probably all of them.
    """
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise InputError("the data set has no length; make a list of its items, and a data set of that")
    count = len(dataset)
    if count:
        item_image(dataset, 0)
    return count


def item_image(dataset: AnyDataset, index: int) -> Any:
    """The image of an item, which is a pair of an image and a label, or an image alone.

    Raises:
        InputError: If it cannot be read, or is a tensor of floats.
    """
    item = _item(dataset, index)
    image = item[0] if isinstance(item, tuple | list) and item else item
    if isinstance(image, Tensor) and image.is_floating_point():
        kind = str(image.dtype).removeprefix("torch.")
        raise InputError(
            f"item {index} is a {kind} tensor; leave out transforms to floats such as ToTensor, so that it is a PIL "
            "image or a uint8 tensor, as of PILToTensor"
        )
    return image


def labels(dataset: AnyDataset) -> "list[int] | list[str]":
    """The label of each item: a name of `dataset.classes`, as torchvision has them, or else a number or text.

    Raises:
        InputError: If an item is no pair, or its label is not a class.
    """
    names = class_names(dataset)
    found = [_label(_item(dataset, index), index) for index in range(length(dataset))]
    numbers = [label for label in found if isinstance(label, int)]
    if not names or not numbers:
        return found  # type: ignore[return-value]  # all are of one kind in a valid data set, or become text
    wrong = [label for label in numbers if not 0 <= label < len(names)]
    if wrong:
        raise InputError(f"the data set has the label {wrong[0]}, but its classes are {len(names)}: {', '.join(names)}")
    return [names[label] if isinstance(label, int) else label for label in found]


def class_names(dataset: AnyDataset) -> tuple[str, ...]:
    """The names in `dataset.classes`, also of the data set that this one is a part of; none if there are none."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return tuple(map(str, getattr(dataset, "classes", None) or ()))


def _item(dataset: AnyDataset, index: int) -> Any:
    try:
        return dataset[index]
    except OSError as error:  # such as that of a damaged file
        reason = " ".join(str(error).split())
        raise InputError(f"item {index} of the data set cannot be read ({reason})") from error


def _label(item: Any, index: int) -> int | str:
    if not isinstance(item, tuple | list) or len(item) != 2:
        what = f"has {len(item)} parts" if isinstance(item, tuple | list) else f"is a {type(item).__name__}"
        raise InputError(f"item {index} of the data set {what}, expected a pair of an image and a label")
    label = item[1]
    if isinstance(label, Tensor | np.ndarray) and label.ndim == 0:
        label = label.item()
    if isinstance(label, bool) or not isinstance(label, int | np.integer | str):
        raise InputError(f"item {index} of the data set has the label {label!r}, expected a whole number or a name")
    return label if isinstance(label, str) else int(label)
