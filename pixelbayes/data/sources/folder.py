"""Image files in folders, `split/class/*.png` or `class/*.png`; the name of the class folder is the label."""

from functools import partial
from pathlib import Path

from pixelbayes.data.dataset import UNKNOWN_LABEL
from pixelbayes.data.listing import SPLIT_ALIASES, Listing, Record, unknown_class
from pixelbayes.images.preprocessing import open_image
from pixelbayes.utils.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def list_folder(location: str, class_names: tuple[str, ...]) -> Listing:
    """Lists images in alphabetical order, without hidden files. Classes are in the same order by default.

    The labels of images directly in `test/` are unknown.

    Raises:
        InputError: If there is no such folder.
    """
    root = Path(location).expanduser()
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; correct --data")
    faults: list[str] = []
    divided = _is_divided(root)
    trees = _split_folders(root, faults) if divided else {"train": root}
    if not class_names:
        class_names = tuple(sorted({folder.name for tree in trees.values() for folder in _folders(tree)}))
    splits = {split: _records(root, tree, split, class_names, faults) for split, tree in trees.items()}
    return Listing(splits=splits, class_names=class_names, faults=faults, undivided=not divided)


def _is_divided(root: Path) -> bool:
    """Whether the folders are splits. A class may also be called "train", but it contains images, not folders."""
    candidates = [folder for folder in _folders(root) if folder.name.lower() in SPLIT_ALIASES]
    return bool(candidates) and (
        len(candidates) == len(_folders(root)) or any(_folders(folder) for folder in candidates)
    )


def _split_folders(root: Path, faults: list[str]) -> dict[str, Path]:
    trees: dict[str, Path] = {}
    for folder in _folders(root):
        split = SPLIT_ALIASES.get(folder.name.lower())
        if split is None:
            faults.append(f"{folder}: not the name of a split; call it train, validation or test, or move it away")
        elif split in trees:
            faults.append(f"{folder}: a second {split} split beside {trees[split].name}; merge them")
        else:
            trees[split] = folder
    return trees


def _records(root: Path, tree: Path, split: str, class_names: tuple[str, ...], faults: list[str]) -> list[Record]:
    records: list[Record] = []

    def add(paths: list[Path], label: int) -> None:
        records.extend(Record(path.relative_to(root).as_posix(), label, partial(open_image, path)) for path in paths)

    if split == "test":
        add(images_in(tree), UNKNOWN_LABEL)
    else:
        faults.extend(f"{path}: not in a class folder; move it into one" for path in images_in(tree))
    for folder in _folders(tree):
        if folder.name not in class_names:
            faults.append(f"{folder}: {unknown_class(folder.name, class_names)}")
            continue
        faults.extend(f"{inner}: a folder inside a class folder; move its images up" for inner in _folders(folder))
        images = images_in(folder)
        if not images:
            faults.append(f"{folder}: no image ({', '.join(SUFFIXES)}) in this class folder; add some or remove it")
        add(images, class_names.index(folder.name))
    return records


def visible(folder: Path) -> list[Path]:
    """The files and folders in a folder except hidden ones, in alphabetical order."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _folders(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.is_dir()]


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder except hidden ones, in alphabetical order."""
    return [path for path in visible(folder) if path.suffix.lower() in SUFFIXES and path.is_file()]
