"""The contents of a source before any image is decoded, in the same form for every kind of source."""

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from pixelbayes.data.dataset import UNKNOWN_LABEL

STANDARD_SPLITS = ("train", "validation", "test")

SPLIT_ALIASES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Record:
    """One image of a source.

    Args:
        name: Its name in messages and tables.
        label: 0 .. Y-1, or `UNKNOWN_LABEL`.
        read: Decodes the image; raises an InputError that names it.
    """

    name: str
    label: int
    read: Callable[[], Image.Image]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The records of a source.

    Args:
        splits: The records of each split, under the names of `STANDARD_SPLITS`.
        class_names: Name of each label, Y of them.
        faults: Everything that is wrong with the source, one line each: file or row, fault and remedy.
        levels: Number of values that a colour takes in this source.
        undivided: Whether the source has no splits. All its images are listed as "train", and a test split is cut from
            them, too.
        cut_from_train: Names of the splits that were cut from the training images.
    """

    splits: dict[str, list[Record]]
    class_names: tuple[str, ...]
    faults: list[str] = field(default_factory=list)
    levels: int = 256
    undivided: bool = False
    cut_from_train: tuple[str, ...] = ()


def class_faults(listing: Listing) -> list[str]:
    """Checks that there are labelled images, and that each class has training images if there are any.

    Returns:
        One line per fault.
    """
    if not any(listing.splits.values()):
        return ["no images found"]
    if not listing.class_names:
        return ["no image has a label; put the images into class folders, or write labels into the csv file"]
    if "train" not in listing.splits:  # data for evaluation may lack a class
        return []
    with_images = {record.label for record in listing.splits["train"]}
    return [
        f"class {name!r} has no image in train; add some or leave the class out"
        for label, name in enumerate(listing.class_names)
        if label not in with_images
    ]


def relabel(found: tuple[str, ...], class_names: tuple[str, ...], where: str) -> tuple[list[int], list[str]]:
    """Labels of the classes of a source in the order of `class_names`.

    Args:
        found: The classes of the source.
        class_names: Name of each label.
        where: Name of the source in messages.

    Returns:
        The label of each class that was found, `UNKNOWN_LABEL` if it is not in `class_names`; and one line per fault.
    """
    labels = [class_names.index(name) if name in class_names else UNKNOWN_LABEL for name in found]
    return labels, [f"{where}: {unknown_class(name, class_names)}" for name in found if name not in class_names]


def unknown_class(name: str, class_names: tuple[str, ...]) -> str:
    """The message that a class is not among the class names."""
    expected = ", ".join(class_names[:8]) + (", ..." if len(class_names) > 8 else "")
    return f"class {name!r} is not among {expected} (from --class-names or the network); correct either"
