"""Tables of `path,label` rows: train.csv, validation.csv and test.csv in one folder."""

import csv
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pixelbayes.data.dataset import UNKNOWN_LABEL
from pixelbayes.data.listing import SPLIT_ALIASES, Listing, Record, unknown_class
from pixelbayes.images.preprocessing import open_image
from pixelbayes.utils.errors import InputError


class _Row(NamedTuple):
    where: str  # table and row for messages, such as "train.csv row 17"
    path: str  # absolute, or relative to the folder of the table
    label: str  # a number or a name; empty if unknown


def list_table(location: str, class_names: tuple[str, ...]) -> Listing:
    """Lists the rows in file order.

    A header is optional. Labels are names or the numbers 0 .. Y-1; an empty label or -1 is unknown.

    Raises:
        InputError: If there are no such tables.
    """
    root = Path(location).expanduser()
    faults: list[str] = []
    tables = {split: _rows(path, faults) for split, path in _tables(root, faults).items()}
    if not class_names:
        class_names = _class_names([row for rows in tables.values() for row in rows], faults)
    label_of = {str(label): label for label in range(len(class_names))}
    label_of |= {name: label for label, name in enumerate(class_names)}
    if class_names:
        faults.extend(
            f"{row.where}: {unknown_class(row.label, class_names)}"
            for rows in tables.values()
            for row in rows
            if row.label and row.label not in label_of
        )
    splits = {split: [_record(root, row, label_of) for row in rows] for split, rows in tables.items()}
    return Listing(splits=splits, class_names=class_names, faults=faults)


def _record(root: Path, row: _Row, label_of: dict[str, int]) -> Record:
    read = partial(open_image, root / row.path, f"{row.where}: {row.path}")
    return Record(row.path, label_of.get(row.label, UNKNOWN_LABEL), read)


def _tables(root: Path, faults: list[str]) -> dict[str, Path]:
    tables: dict[str, Path] = {}
    for path in sorted(root.glob("*.csv")):
        split = SPLIT_ALIASES.get(path.stem.lower())
        if split in tables:
            faults.append(f"{path}: a second {split} split beside {tables[split].name}; merge them")
        elif split is not None:
            tables[split] = path
    if not tables:
        raise InputError(f"{root}: no train.csv here; write one with path,label rows or correct --data")
    return tables


def _rows(table: Path, faults: list[str]) -> list[_Row]:
    rows: list[_Row] = []
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            for cells in reader:
                where = f"{table.name} row {reader.line_num}"
                if not any(cells) or (not rows and _is_header(table.parent, cells)):
                    continue
                if len(cells) != 2:
                    faults.append(f"{where}: {len(cells)} columns instead of path,label; quote a path with a comma")
                    continue
                path, label = (cell.strip() for cell in cells)
                rows.append(_Row(where, path, _normalised(label)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.append(f"{table}: cannot be read ({error}); save it as a UTF-8 csv file")
    else:
        if not rows:
            faults.append(f"{table}: no rows; write path,label rows or remove the file")
    return rows


def _is_header(folder: Path, cells: list[str]) -> bool:
    """Whether the first cell is neither a file nor has the suffix of one."""
    return not Path(cells[0]).suffix and not (folder / cells[0]).is_file()


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdecimal() and len(label) < 10


def _normalised(label: str) -> str:
    """One spelling per label: "07" becomes "7", and -1 becomes empty."""
    if label == "-1":
        return ""
    return str(int(label)) if _is_number(label) else label


def _class_names(rows: list[_Row], faults: list[str]) -> tuple[str, ...]:
    """The names in alphabetical order, or "0" .. "Y-1" if the labels are numbers; empty after a fault."""
    first = {row.label: row.where for row in reversed(rows) if row.label}  # the first row of each label
    numbers = sorted(int(label) for label in first if _is_number(label))
    if not numbers:
        return tuple(sorted(first))
    if len(numbers) < len(first):
        name = next(label for label in first if not _is_number(label))
        faults.append(f"{first[name]}: label {name!r} is a name, but others are numbers; use one kind")
    elif len(numbers) <= numbers[-1]:
        gap = next(label for label, number in enumerate(numbers) if label != number)
        faults.append(
            f"the largest label is {numbers[-1]}, but no image has label {gap}; number the classes 0, 1, 2, ..."
        )
    else:
        return tuple(str(number) for number in numbers)
    return ()
