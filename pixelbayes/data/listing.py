"""What a source holds, before any image is read: the one form that all sources share."""

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

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
    """One image of a source; `read` decodes it, or raises an InputError that names it."""

    name: str
    label: int  # 0 .. Y-1, -1 unknown
    read: Callable[[], Image.Image]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The records of a source by split, and every fault met on the way, a line each."""

    splits: dict[str, list[Record]]
    class_names: tuple[str, ...]
    faults: list[str] = field(default_factory=list)
    levels: int = 256  # values a colour takes in this source
    undivided: bool = False  # one pool under "train", so a missing test split is cut from it too
    cut_from_train: tuple[str, ...] = ()


def class_faults(listing: Listing) -> list[str]:
    """Labels have to be dense, 0 .. Y-1, and a class is learnt from at least one image."""
    if not any(listing.splits.values()):
        return ["no images found"]
    if not listing.class_names:
        return ["no image has a label; put the images into class folders, or write labels into the csv file"]
    if "train" not in listing.splits:  # of use for evaluation only, where a class may be absent
        return []
    learnt = {record.label for record in listing.splits["train"]}
    return [
        f"class {name!r} has no image in train; add some, or leave the class out"
        for label, name in enumerate(listing.class_names)
        if label not in learnt
    ]


def relabel(found: tuple[str, ...], class_names: tuple[str, ...], where: str) -> tuple[list[int], list[str]]:
    """The label in `class_names` of each class of a source, -1 where it is not among them, which is a fault."""
    labels = [class_names.index(name) if name in class_names else -1 for name in found]
    return labels, [f"{where}: {unknown_class(name, class_names)}" for name in found if name not in class_names]


def unknown_class(name: str, class_names: tuple[str, ...]) -> str:
    known = ", ".join(class_names[:8]) + (", ..." if len(class_names) > 8 else "")
    return f"class {name!r} is not among {known} (--data.class_names, or the network's); correct either"
