"""Tables of images and labels in a folder: csv, tsv or jsonl, for each split or for all images."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pixelbayes.data.dataset import UNKNOWN_LABEL
from pixelbayes.data.listing import (
    LABEL_COLUMNS,
    SPLIT_ALIASES,
    Listing,
    Record,
    canonical,
    in_label_order,
    label_text,
    read_image,
    relabel,
    shown,
    unknown_class,
    written_labels,
)
from pixelbayes.data.sources.folder import SUFFIXES, folders_in, images_below, images_in, tables_in, unwrapped
from pixelbayes.utils.archives import AnyPath, as_path
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import csv_cells

PATH_COLUMNS = ("path", "file_name", "filename", "image", "image_id", "id")  # the first one that is there

IMAGE_FOLDERS = ("images", "imgs")


class _Columns(NamedTuple):
    """Positions of the columns that are read."""

    path: int
    label: int | None
    split: int | None


class _Row(NamedTuple):
    where: str  # table and row for messages, such as "train.csv row 17"
    folder: AnyPath  # of the table
    path: str  # absolute, or relative to the folder
    is_id: bool  # whether the path may lack a suffix
    label: str  # empty if unknown
    split: str | None


def list_table(location: str | AnyPath, class_names: tuple[str, ...]) -> Listing:
    """Lists the rows in file order.

    Columns are found by their names in the first row; without such names they are path and label. Labels are names; a
    number is a name, too. Images are searched beside the table, then in a folder called like the split, then in
    `images`, then in the other folders.

    Args:
        location: A table, or a folder with train.csv and the like, or with a single table of all images.
        class_names: Name of each label; by default those of the tables in the order of `in_label_order`.

    Raises:
        InputError: If there are no such tables.
    """
    path = as_path(location)
    if path.is_file():
        root, tables = path.parent, {path: _split_of(path.stem)}
    else:
        root = unwrapped(path) if path.is_dir() else path
        tables = _tables(root) if path.is_dir() else {}
    if not tables:
        raise InputError(f"{root}: no train.csv here; write one with path,label rows or correct --data")
    faults: list[str] = []
    finder = _Finder()
    rows = [row for table, split in _once(tables, faults) for row in _rows(table, split, finder, faults)]
    undivided = set(tables.values()) == {None}
    if undivided:
        rows, undivided = _divided_by_folder(rows)

    spellings = {canonical(row.label): row.label for row in reversed(rows) if row.label}  # "07" and "7" are one class
    found = in_label_order(spellings.values())
    class_names = class_names or found
    labels = dict(zip(found, relabel(found, class_names, "")[0], strict=True))
    splits: dict[str, list[Record]] = {split: [] for split in tables.values() if split}
    used: set[Path] = set()
    for row in rows:
        label = labels[spellings[canonical(row.label)]] if row.label else UNKNOWN_LABEL
        if row.label and label == UNKNOWN_LABEL:
            faults.append(f"{row.where}: {unknown_class(row.label, class_names)}")
        paths = finder.find(row)
        if len(paths) > 1:
            faults.append(f"{row.where}: {row.path} may be any of {', '.join(map(str, paths))}; write the whole path")
        file = paths[0] if paths else row.folder / row.path
        used.add(Path(file).absolute())
        record = Record(shown(row.path), label, partial(read_image, file, f"{row.where}: {shown(row.path)}"), file)
        splits.setdefault(row.split or "train", []).append(record)
    left_out = Counter(
        f"table that is not read ({shown(table.name)})" for table in tables_in(root) if table not in tables
    )
    if unnamed := sum(Path(image).absolute() not in used for image in images_below(root)):
        left_out["image that no row of a table names"] = unnamed
    return Listing(
        splits=splits,
        class_names=class_names,
        faults=faults,
        undivided=undivided,
        left_out=dict(left_out),
        written_labels=written_labels(found, class_names),
    )


def holds_tables(folder: AnyPath) -> bool:
    """Whether the labels of the images in a folder are in tables rather than in the names of class folders."""
    tables = _tables(folder)
    if not tables or "train" in tables.values() or None in tables.values():
        return bool(tables)
    return not any(SPLIT_ALIASES.get(inner.name.lower()) == "train" for inner in folders_in(folder))


def _tables(root: AnyPath) -> dict[AnyPath, str | None]:
    """The tables to read and their splits: those named by a split; otherwise the only one that names images.

    Raises:
        InputError: If several tables that are not named by a split name images.
    """
    tables: dict[AnyPath, str | None] = {table: _split_of(table.stem) for table in tables_in(root)}
    for folder in folders_in(root):
        if folder.name.lower() in SPLIT_ALIASES:
            metadata = [table for table in tables_in(folder) if table.stem.lower() == "metadata"]
            tables |= dict.fromkeys(metadata, SPLIT_ALIASES[folder.name.lower()])
    if any(tables.values()):
        return {table: split for table, split in tables.items() if split}
    finder = _Finder()
    naming = [
        table
        for table in tables
        if "submission" not in table.stem.lower() and any(map(finder.find, _rows(table, None, finder, [])))
    ]
    if len(naming) > 1:
        names = " and ".join(table.name for table in naming)
        raise InputError(f"{root}: {names} name images; call one train.csv, or choose one, as --data csv:{naming[0]}")
    return dict.fromkeys(naming)


def _split_of(stem: str) -> str | None:
    """The split that the name of a table says: "Train", "train_labels" and "trainLabels" are train."""
    return SPLIT_ALIASES.get(stem.lower().replace("labels", "").strip("_- "))


def _once(tables: dict[AnyPath, str | None], faults: list[str]) -> Iterator[tuple[AnyPath, str | None]]:
    """The tables, but of several for one split only the first."""
    first: dict[str | None, AnyPath] = {}
    for table, split in tables.items():
        if first.setdefault(split, table) is table:
            yield table, split
        else:
            faults.append(f"{table}: a second {split} split beside {first[split].name}; merge them")


def _divided_by_folder(rows: list[_Row]) -> tuple[list[_Row], bool]:
    """The rows of a single table, and whether they have no splits.

    If no column holds the splits, they may be the first folders in the paths.
    """
    if any(row.split for row in rows):
        return rows, False
    folders = [row.path.replace("\\", "/").partition("/")[0].lower() for row in rows]
    if len(set(folders)) < 2 or not all(folder in SPLIT_ALIASES for folder in folders):
        return rows, True
    return [row._replace(split=SPLIT_ALIASES[name]) for row, name in zip(rows, folders, strict=True)], False


def _rows(table: AnyPath, split: str | None, finder: "_Finder", faults: list[str]) -> list[_Row]:
    try:
        is_jsonl = table.suffix.lower() == ".jsonl"
        read = _jsonl_cells(table) if is_jsonl else csv_cells(table, lambda names: _columns(names) is not None)
        numbered = [(number, cells) for number, cells in read if any(cells)]
    except InputError as error:  # from an archive
        faults.append(str(error))
        return []
    except (OSError, ValueError, csv.Error) as error:  # ValueError: not UTF-8, or not JSON
        faults.append(f"{table}: cannot be read ({error}); save it as a UTF-8 {table.suffix[1:].lower()} file")
        return []
    named = _columns(numbered[0][1]) if numbered else None
    names = numbered.pop(0)[1] if named else ["path", "label"]
    columns = named or _columns_by_content(table, [cells for _, cells in numbered], split, finder)
    remedy = "quote a path with a comma" + ("" if named else ", or write the names of the columns into the first row")
    if columns.label is None and split != "test":
        faults.append(f"{table}: no column of labels among {', '.join(names)}; call it label, or move the table away")
    rows: list[_Row] = []
    for number, cells in numbered:
        where = f"{table.name} row {number}"
        if len(cells) != len(names):
            faults.append(f"{where}: {len(cells)} columns instead of {','.join(names)}; {remedy}")
        elif not cells[columns.path]:
            faults.append(f"{where}: no path; write one or remove the row")
        else:
            label = "" if columns.label is None else label_text(cells[columns.label])
            of_row = split if columns.split is None else SPLIT_ALIASES.get(cells[columns.split].lower(), "")
            if of_row == "" or (split and of_row != split):
                expected = split or "train, validation or test"
                faults.append(f"{where}: its split is {cells[columns.split or 0]!r}, expected {expected}; correct it")
            rows.append(_Row(where, table.parent, cells[columns.path], named is not None, label, of_row))
    if not named and rows and not PurePosixPath(rows[0].path).suffix and not finder.find(rows[0]):
        faults.append(f"{rows[0].where}: neither a file nor names of columns; call the columns path and label")
        del rows[0]
    elif not numbered:
        faults.append(f"{table}: no rows; write path,label rows or remove the file")
    return rows


def _jsonl_cells(table: AnyPath) -> Iterator[tuple[int, list[str]]]:
    """The names of the columns as row 0, then the number and the cells of each row."""
    with table.open(encoding="utf-8-sig") as file:
        rows = {number: json.loads(line) for number, line in enumerate(file, start=1) if line.strip()}
    if not all(isinstance(row, dict) for row in rows.values()):
        raise ValueError("a line is not a JSON object")
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    yield 0, names
    for number, row in rows.items():
        yield number, ["" if row.get(name) is None else str(row[name]).strip() for name in names]


def _columns(names: Iterable[str]) -> _Columns | None:
    """The columns to read by their names; None if these are not names of columns.

    The only column beside that of the paths holds the labels, whatever its name.
    """
    names = ["_".join(name.lower().split()) for name in names]

    def first(known: Iterable[str]) -> int | None:
        return next((names.index(name) for name in known if name in names), None)

    path, label, split = first(PATH_COLUMNS), first(LABEL_COLUMNS), first(["split"])
    if path is None or any(PurePosixPath(name).suffix in SUFFIXES for name in names):
        return None
    others = [i for i, name in enumerate(names) if i not in (path, split) and name not in ("", "unnamed:_0", "index")]
    return _Columns(path, others[0] if label is None and len(others) == 1 else label, split)


def _columns_by_content(table: AnyPath, rows: Iterable[list[str]], split: str | None, finder: "_Finder") -> _Columns:
    """Path and label, unless the files are in the second column."""

    def holds_files(column: int) -> bool:
        paths = (cells[column] for cells in rows if len(cells) == 2)
        return any(finder.find(_Row("", table.parent, path, False, "", split)) for path in paths)

    return _Columns(1, 0, None) if holds_files(1) and not holds_files(0) else _Columns(0, 1, None)


class _Finder:
    """Finds the files of rows, and keeps what it read of folders."""

    def __init__(self) -> None:
        self._tiers: dict[tuple[AnyPath, str | None], list[list[AnyPath]]] = {}
        self._stems: dict[AnyPath, dict[str, list[AnyPath]]] = {}

    def find(self, row: _Row) -> list[AnyPath]:
        """The file of a row; several if it is not clear which; none if there is none."""
        paths = list(dict.fromkeys((row.path, row.path.replace("\\", "/"))))
        key = row.folder, row.split
        if key not in self._tiers:
            self._tiers[key] = _search_tiers(*key)
        for folders in self._tiers[key]:
            files = [folder / path for folder in folders for path in paths]
            found = [file for file in files if _is_file(file)]
            if not found and row.is_id:
                found = [image for file in files for image in self._with_stem(file)]
            if found:
                return found
        return []

    def _with_stem(self, file: AnyPath) -> list[AnyPath]:
        """The images whose path is this one and a suffix."""
        folder = file.parent
        if folder not in self._stems:
            self._stems[folder] = defaultdict(list)
            for image in images_in(folder) if folder.is_dir() else []:
                self._stems[folder][image.stem].append(image)
        return self._stems[folder].get(file.name, [])


def _search_tiers(folder: AnyPath, split: str | None) -> list[list[AnyPath]]:
    """The folders in which to search for the images of a table, in groups of equal rank."""
    inner = folders_in(folder)
    pictures = [each for each in inner if each.name.lower() in IMAGE_FOLDERS]
    parts = [each for parent in (folder, *pictures) for each in folders_in(parent)]
    own = [each for each in parts if SPLIT_ALIASES.get(each.name.lower()) == (split or "train")]
    others = [each for each in inner if each.name.lower() not in SPLIT_ALIASES and each not in pictures]
    return [[folder], own, pictures, others]


def _is_file(path: AnyPath) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or a null byte
        return False
