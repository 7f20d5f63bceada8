"""Image files in folders, `split/class/*.png` or `class/*.png`; the name of the class folder is the label."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from PIL import Image

from pixelbayes.data.dataset import UNKNOWN_LABEL
from pixelbayes.data.listing import SPLIT_ALIASES, Listing, Record, in_label_order, read_image, shown, unknown_class
from pixelbayes.images.preprocessing import FORMATS
from pixelbayes.utils.archives import AnyPath, ArchivePath, as_path
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import is_system_file

P = TypeVar("P", Path, ArchivePath, AnyPath)

SUFFIXES = tuple(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)
"""Suffixes of the image files that can be decoded: .png, .jpg, .jfif, .webp, .tif, ..."""

HEIC_SUFFIXES = (".heic", ".heif", ".hif")

HEIC_REMEDY = "HEIC is read after pip install 'pixelbayes[heic]'"

HEIC_REMEDY = "HEIC is read after pip install 'pixelbayes[heic]'"

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl")

MAX_WRAPPERS = 8  # folders around the data; a link may lead back to its own folder


def list_folder(location: str | AnyPath, class_names: tuple[str, ...]) -> Listing:
    """Lists images in alphabetical order, without hidden files. Classes have the order of `in_label_order` by default.

    The labels of images directly in `test/` are unknown. A folder around the data is opened, such as `data` in
    `data/train/cat`. Files that are no images are counted by their suffix.

    Raises:
        InputError: If there is no such folder.
    """
    root = as_path(location)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; correct --data")
    tree = _Tree(root, class_names)
    return Listing(
        splits=tree.splits,
        class_names=tree.class_names,
        faults=tree.faults,
        undivided=not tree.divided,
        left_out=dict(tree.left_out),
    )


def unwrapped(folder: AnyPath) -> AnyPath:
    """The folder that holds the data: the only folder in this one, and so on, if folders or tables are in that.

    A folder of images is a class, and one called train is a split; both stay where they are.
    """
    for _ in range(MAX_WRAPPERS):
        inner = folders_in(folder)
        if len(inner) != 1 or inner[0].name.lower() in SPLIT_ALIASES or images_in(folder) or tables_in(folder):
            break
        if not tables_in(inner[0]) and (images_in(inner[0]) or not folders_in(inner[0])):
            break
        folder = inner[0]
    return folder


class _Tree:
    """The images and faults below a folder. Each file is listed as a record, as a fault or in `left_out`."""

    def __init__(self, outer: AnyPath, class_names: tuple[str, ...]):
        self.root = root = unwrapped(outer)
        self.faults: list[str] = []
        self.left_out: Counter[str] = Counter()
        wrapper = root
        while wrapper != outer:
            wrapper = wrapper.parent
            self._contents(wrapper)  # counts the files beside the data
        images, folders = self._contents(root)
        self.divided = _is_divided(folders)
        if self.divided:
            self.faults += [f"{path}: not in the folder of a split; move it into one" for path in images]
            trees = {split: self._contents(folder) for split, folder in self._split_folders(folders).items()}
        else:
            trees = {"train": (images, folders)}
            self.faults += _unread_table(root, folders)
        names = in_label_order(shown(folder.name) for _, folders in trees.values() for folder in folders)
        self.class_names = class_names or names
        self.splits = {split: self._records(split, *contents) for split, contents in trees.items()}

    def _split_folders(self, folders: list[AnyPath]) -> dict[str, AnyPath]:
        found: dict[str, AnyPath] = {}
        for folder in folders:
            split = SPLIT_ALIASES.get(folder.name.lower())
            if split is None:
                self.faults.append(
                    f"{folder}: not the name of a split; call it train, validation or test, or move it away"
                )
            elif split in found:
                self.faults.append(f"{folder}: a second {split} split beside {found[split].name}; merge them")
            else:
                found[split] = folder
        return found

    def _records(self, split: str, images: list[AnyPath], folders: list[AnyPath]) -> list[Record]:
        records: list[Record] = []

        def add(paths: list[AnyPath], label: int) -> None:
            for path in paths:
                name = shown(path.relative_to(self.root).as_posix())
                records.append(Record(name, label, partial(read_image, path, shown(str(path))), path))

        if split == "test":
            add(images, UNKNOWN_LABEL)
        else:
            self.faults += [f"{path}: not in a class folder; move it into one" for path in images]
        for folder in folders:
            if shown(folder.name) not in self.class_names:
                self.faults.append(f"{folder}: {unknown_class(shown(folder.name), self.class_names)}")
                continue
            faults = len(self.faults)
            images, inner = self._contents(folder)
            self.faults += [f"{each}: a folder inside a class folder; move its images up" for each in inner]
            if not images and len(self.faults) == faults:
                is_heic = any(path.suffix.lower() in HEIC_SUFFIXES for path in visible(folder))
                remedy = HEIC_REMEDY if is_heic else "add some or remove it"
                self.faults.append(f"{folder}: no image in this class folder that can be read; {remedy}")
            add(images, self.class_names.index(shown(folder.name)))
        return records

    def _contents(self, folder: AnyPath) -> tuple[list[AnyPath], list[AnyPath]]:
        """The images and the folders in a folder. Everything else becomes a fault or is counted."""
        images: list[AnyPath] = []
        folders: list[AnyPath] = []
        paths: list[AnyPath] = []
        try:
            paths = _entries(folder)
        except OSError as error:
            self.faults.append(f"{folder}: cannot be opened ({error.strerror}); correct its permissions")
        for path in paths:
            if is_system_file(path.name):
                self.left_out["hidden or system file"] += 1
            elif path.is_dir():
                folders.append(path)
            elif path.is_symlink() and not path.exists():
                self.faults.append(f"{path}: a link to a file that does not exist; correct it or remove it")
            elif path.suffix.lower() in SUFFIXES and path.is_file():
                images.append(path)
            elif path.suffix.lower() in HEIC_SUFFIXES:
                self.left_out[f"image that cannot be read ({HEIC_REMEDY})"] += 1
            else:
                self.left_out[f"not an image that can be read ({shown(path.suffix.lower()) or 'no suffix'})"] += 1
        return images, folders


def _is_divided(folders: list[AnyPath]) -> bool:
    """Whether the folders are splits. A class may also be called "train", but it contains images, not folders."""
    candidates = [folder for folder in folders if folder.name.lower() in SPLIT_ALIASES]
    return bool(candidates) and (len(candidates) == len(folders) or any(folders_in(folder) for folder in candidates))


def _unread_table(root: AnyPath, folders: list[AnyPath]) -> list[str]:
    """A fault if a table beside a single folder of images has the labels, probably."""
    if len(folders) != 1 or not (tables := tables_in(root)):
        return []
    return [
        f"{tables[0]}: a table beside the only class folder {folders[0].name}; if it has the labels, call its columns "
        f"path and label and name it, as --data csv:{tables[0]}; if not, move it away"
    ]


def _entries(folder: P) -> list[P]:
    """The files and folders in a folder in alphabetical order."""
    return sorted(folder / path.name for path in folder.iterdir())


def visible(folder: P) -> list[P]:
    """The files and folders in a folder except those that are hidden or the system's; none if it cannot be opened."""
    try:
        return [path for path in _entries(folder) if not is_system_file(path.name)]
    except OSError:
        return []


def folders_in(folder: P) -> list[P]:
    """The folders in a folder except hidden ones, in alphabetical order."""
    return [path for path in visible(folder) if path.is_dir()]


def images_in(folder: P) -> list[P]:
    """The image files in a folder except hidden ones, in alphabetical order."""
    return [path for path in visible(folder) if path.suffix.lower() in SUFFIXES and path.is_file()]


def tables_in(folder: P) -> list[P]:
    """The csv, tsv and jsonl files in a folder except hidden ones, in alphabetical order."""
    return [path for path in visible(folder) if path.suffix.lower() in TABLE_SUFFIXES and path.is_file()]


def images_below(folder: AnyPath) -> Iterator[AnyPath]:
    """The image files in a folder and in its folders except hidden ones; links to folders are not followed."""
    yield from images_in(folder)
    for inner in folders_in(folder):
        if not inner.is_symlink():
            yield from images_below(inner)
