"""The contents of a source before any image is decoded, in the same form for every kind of source."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from pixelbayes.data.dataset import UNKNOWN_LABEL
from pixelbayes.images.preprocessing import decode_image, open_image
from pixelbayes.utils.archives import AnyPath
from pixelbayes.utils.errors import InputError

STANDARD_SPLITS = ("train", "validation", "test")

SPLIT_ALIASES = {
    alias: split
    for split, aliases in {
        "train": ("train", "training"),
        "validation": ("validation", "val", "valid", "validate", "dev", "devel", "development", "eval"),
        "test": ("test", "testing"),
    }.items()
    for alias in aliases
}

LABEL_COLUMNS = ("label", "class", "category", "target")  # names of the column of labels, the first one that is there

UNKNOWN_WORDS = ("", "-1", "nan", "NaN", "NAN", "None", "null", "NULL", "NA", "N/A", "n/a", "<NA>", "#N/A")


@dataclass(frozen=True)
class Record:
    """One image of a source.

    Args:
        name: Its name in messages and tables.
        label: 0 .. Y-1, or `UNKNOWN_LABEL`.
        read: Decodes the image; raises an InputError that names it.
        path: Its file on the disk or in an archive, if it has one.
    """

    name: str
    label: int
    read: Callable[[], Image.Image]
    path: AnyPath | None = None


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
        left_out: The number of files, rows or images that are not used, by reason.
        written_labels: How the source writes each label, as of `written_labels`; empty if by the class names.
    """

    splits: dict[str, list[Record]]
    class_names: tuple[str, ...]
    faults: list[str] = field(default_factory=list)
    levels: int = 256
    undivided: bool = False
    cut_from_train: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)
    written_labels: tuple[str, ...] = ()


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
    if len(listing.class_names) == 1 and UNKNOWN_LABEL in with_images:
        return [f"all labels are {listing.class_names[0]!r} or unknown; if -1 is a class, write another name for it"]
    return [
        f"class {name!r} has no image in train; add some or leave the class out"
        for label, name in enumerate(listing.class_names)
        if label not in with_images
    ]


def in_label_order(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once: numbers by their value, then the other names in alphabetical order.

    >>> in_label_order(["10", "cat", "2", "10"])
    ('2', '10', 'cat')
    """

    def key(name: str) -> tuple[bool, float, str]:
        is_number = re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", name) is not None
        return not is_number, float(name) if is_number else 0, name

    return tuple(sorted(set(names), key=key))


def label_text(value: object) -> str:
    """A label as text: empty if it is unknown, and without the ".0" that other programs add to whole numbers.

    >>> [label_text(value) for value in ("cat ", 3, "3.0", -1.0, None, float("nan"))]
    ['cat', '3', '3', '', '', '']
    """
    text = re.sub(r"^([+-]?[0-9]+)\.0*$", r"\1", str(value).strip())
    return "" if text in UNKNOWN_WORDS else shown(text)


def shown(name: str) -> str:
    r"""A name of a file or class that can be printed and saved: control characters and invalid UTF-8 are escaped.

    >>> shown("caf\udce9")
    'caf\\udce9'
    """
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in ("Cc", "Cs") else letter
        for letter in name
    )


def read_image(path: AnyPath, name: str) -> Image.Image:
    """Decodes an image file on the disk or in an archive; else as `open_image`."""
    if isinstance(path, Path):
        return open_image(path, name)
    try:
        return decode_image(path.read_bytes(), name)
    except FileNotFoundError:
        raise InputError(f"{name}: no such file in the archive; correct the path or remove the entry") from None


def relabel(found: tuple[str, ...], class_names: tuple[str, ...], where: str) -> tuple[list[int], list[str]]:
    """Labels of the classes of a source in the order of `class_names`.

    Numbers are equal if their values are, so "07" is "7". A number is the name of a class, and its position only as
    described at `are_positions`.

    Args:
        found: The classes of the source.
        class_names: Name of each label.
        where: Name of the source in messages.

    Returns:
        The label of each class that was found, `UNKNOWN_LABEL` if it is not in `class_names`; and one line per fault.
    """
    names = tuple(map(str, range(len(class_names)))) if are_positions(found, class_names) else class_names
    label_of = {canonical(name): label for label, name in enumerate(names)}
    label_of |= {name: label for label, name in enumerate(names)}
    labels = [label_of.get(name, label_of.get(canonical(name), UNKNOWN_LABEL)) for name in found]
    unknown = [name for name, label in zip(found, labels, strict=True) if label == UNKNOWN_LABEL]
    return labels, [f"{where}: {unknown_class(name, class_names)}" for name in unknown]


def are_positions(found: Iterable[str], class_names: tuple[str, ...]) -> bool:
    """Whether the labels of a source are positions in `class_names`, counted from 0.

    They are if all of them are whole numbers below Y and 0 is one of them, but no class name is a number. Without a 0
    they may be counted from 1.
    """
    numbers = {canonical(name) for name in found}
    positions = {str(label) for label in range(len(class_names))}
    return "0" in numbers and numbers <= positions and not any(map(_is_number, class_names))


def written_labels(found: tuple[str, ...], class_names: tuple[str, ...]) -> tuple[str, ...]:
    """How a source writes each label, Y of them, given the classes of the source; a class that it lacks by its name."""
    if are_positions(found, class_names):
        return tuple(map(str, range(len(class_names))))
    spellings = {canonical(name): name for name in found}
    return tuple(spellings.get(canonical(name), name) for name in class_names)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def canonical(name: str) -> str:
    """One spelling of each whole number, as "7" of "07"; other names as they are."""
    return (name.lstrip("0") or "0") if _is_number(name) else name


def unknown_class(name: str, class_names: tuple[str, ...]) -> str:
    """The message that a class is not among the class names."""
    expected = ", ".join(class_names[:8]) + (", ..." if len(class_names) > 8 else "")
    is_position = _is_number(name) and not any(map(_is_number, class_names))
    remedy = "write names, or positions from 0 with a 0 among them" if is_position else "correct either"
    return f"class {name!r} is not among {expected} (from --class-names or the network); {remedy}"
