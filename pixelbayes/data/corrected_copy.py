"""Writes a copy of a source in which labels are corrected and images left out."""

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pixelbayes.data.dataset import UNKNOWN_LABEL
from pixelbayes.data.listing import Listing, Record, shown
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import csv_text, write_text
from pixelbayes.utils.progress import track

TABLE = "labels.csv"


def write_corrected_copy(
    listing: Listing, labels: Mapping[tuple[str, int], int], removed: set[tuple[str, int]], out: Path
) -> None:
    """Writes the images of a source with some labels replaced and some images left out. The source stays as it is.

    Files are copied byte for byte; images that are not files are saved as PNG. A source of class folders becomes class
    folders again, in which an image with a new label is in the folder of that class. Any other source becomes files
    and a table, `labels.csv`. Both can be read as `--data OUT`.

    Args:
        listing: The source, without faults.
        labels: The new label of images, by split and position in the split.
        removed: The images to leave out, likewise.
        out: The new folder; it receives all of the copy or nothing.

    Raises:
        InputError: If `out` is neither a new nor an empty folder.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} is not empty; name a new folder for the copy")
    partial = out.with_name(f".{out.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)  # of an attempt that was killed
    partial.mkdir(parents=True)
    images = [
        (split, position, record)
        for split, records in listing.splits.items()
        for position, record in enumerate(records)
        if (split, position) not in removed
    ]
    in_folders = all(_is_in_class_folder(record, listing.class_names) for _, _, record in images)
    if in_folders:
        images.sort(key=lambda image: image[:2] in labels)  # so that the others keep their names
    rows = [["path", "label", "split", "original"]]
    try:
        for split, position, record in track(images, "Copying images", total=len(images)):
            label = labels.get((split, position), record.label)
            name = "" if label == UNKNOWN_LABEL else listing.class_names[label]
            if in_folders:
                path = _free(partial, _in_class_folder(record, name))
            else:
                suffix = PurePosixPath(record.path).suffix if record.path else ".png"
                path = partial / "images" / split / f"{position:06}{suffix}"
                rows.append([path.relative_to(partial).as_posix(), name, split, record.name])
            _write(record, path)
        if not in_folders:
            columns = [0, 1, 3] if listing.undivided else [0, 1, 2, 3]
            write_text(partial / TABLE, csv_text([row[column] for column in columns] for row in rows))
        if out.exists():
            out.rmdir()  # it is empty
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_in_class_folder(record: Record, class_names: tuple[str, ...]) -> bool:
    if record.path is None:
        return False
    return record.label == UNKNOWN_LABEL or shown(record.path.parent.name) == class_names[record.label]


def _in_class_folder(record: Record, class_name: str) -> PurePosixPath:
    """The path of an image, with the folder of its new class, relative to the source."""
    path = PurePosixPath(record.name)
    return path.parent.parent / class_name / path.name if class_name else path


def _free(root: Path, path: PurePosixPath) -> Path:
    """The path below the root, with a number if there is such a file already, because images changed their folder."""
    free, number = root / path, 1
    while free.exists():
        number += 1
        free = root / path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _write(record: Record, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if record.path is None:
        record.read().save(path, format="PNG")
    else:
        path.write_bytes(record.path.read_bytes())
