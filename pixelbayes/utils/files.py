"""Reading and writing files. A file is written to a temporary name and renamed, so it is never incomplete."""

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import is_dataclass
from pathlib import Path
from tempfile import TemporaryFile
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import platformdirs
import yaml

from pixelbayes.utils.archives import AnyPath
from pixelbayes.utils.errors import NO_SPACE, InputError

T = TypeVar("T")

CACHE = "PIXELBAYES_CACHE"  # environment variable
CACHE_REMEDY = f"set the environment variable {CACHE} to a folder that can be written"

DELIMITERS = (",", ";", "\t")  # of csv files

SYSTEM_FILES = ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`. It is renamed to `path` if the block succeeds, and removed if it fails.

    The suffix stays the same, because Pillow and matplotlib choose the format by it. Missing folders are created.

    Raises:
        OSError: If the file cannot be written; if the disk is full, it names `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: str | Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # file names may not be UTF-8


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Converts rows to the text of a csv file.

    >>> print(csv_text([["class", "n"], ["a, b", 2]]), end="")
    class,n
    "a, b",2
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def csv_cells(path: AnyPath, is_head: Callable[[list[str]], bool]) -> Iterator[tuple[int, list[str]]]:
    """The number of each row's last line and the cells of the row, in a csv file in UTF-8.

    Args:
        path: The file.
        is_head: Whether cells are names of columns. The delimiter is the first of `DELIMITERS` with which the cells of
            the first row are; if there is none, the first that divides the row.

    Raises:
        OSError: If the file cannot be read.
        UnicodeDecodeError: If it is not UTF-8.
        csv.Error: If it is not csv.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = next((line for line in file if line.strip()), "")
    heads = {mark: next(csv.reader([first], delimiter=mark, skipinitialspace=True), []) for mark in DELIMITERS}
    marks = [mark for mark in DELIMITERS if len(heads[mark]) > 1] or [","]
    mark = next((mark for mark in marks if is_head(heads[mark])), marks[0])
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=mark, skipinitialspace=True)
        for cells in reader:
            yield reader.line_num, [cell.strip() for cell in cells]


def read_yaml(path: Path, form: str) -> dict[str, Any]:
    """Reads a YAML file of fields and values.

    Args:
        path: The file.
        form: Where its form is shown, for the message, such as "--print-config shows the form".

    Raises:
        InputError: If it cannot be read, or is no such file.
    """
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(f"{path}: {line}not YAML ({error.problem}); {form}") from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(plain, dict):
        raise InputError(f"{path}: expected fields and values; {form}")
    return plain


def from_json(cls: type[T], values: Mapping[str, Any]) -> T:
    """Builds a dataclass from its JSON form: lists become tuples, objects become nested dataclasses or dictionaries.

    Raises:
        TypeError: If a field is missing or unknown, or a nested dataclass is not an object.

    >>> from pixelbayes.images.shape import ImageShape
    >>> from_json(ImageShape, {"height": 8, "width": 8}).size
    (8, 8)
    """
    types = get_type_hints(cls)
    return cls(**{name: _from_json_value(types.get(name), value) for name, value in values.items()})


def _from_json_value(kind: Any, value: Any) -> Any:
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    classes: list[type] = [option for option in options if isinstance(option, type) and is_dataclass(option)]
    if classes and value is not None:
        if not isinstance(value, dict):
            raise TypeError(f"expected an object with the fields of {classes[0].__name__}, got {value!r}")
        return from_json(classes[0], value)
    kinds = [get_args(option)[1] for option in options if get_origin(option) is dict]
    if isinstance(value, dict) and kinds and kinds[0] is not Any:
        return {key: _from_json_value(kinds[0], each) for key, each in value.items()}
    if isinstance(value, list):
        items = [get_args(option)[0] for option in options if get_origin(option) is tuple]
        return tuple(_from_json_value(items[0] if items else None, each) for each in value)
    return value


def cache_folder() -> Path:
    """The folder for downloads and trained feature classifiers: $PIXELBAYES_CACHE, else the user's cache folder.

    Raises:
        InputError: If the user has no home folder.
    """
    own = os.environ.get(CACHE)
    try:
        folder = Path(own).expanduser() if own else platformdirs.user_cache_path("pixelbayes")
    except RuntimeError:
        folder = Path("~")
    if folder.parts[:1] == ("~",):
        raise InputError(f"there is no home folder for the cache; {CACHE_REMEDY}")
    return folder


def make_cache_folder(name: str = "") -> Path:
    """Makes the cache folder, or a folder in it, if it is missing.

    Raises:
        InputError: If it cannot be written.
    """
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(f"{folder}: the cache cannot be written ({error.strerror}); {CACHE_REMEDY}") from error


def safe_name(name: str) -> str:
    """Replaces all characters but letters, digits, "-" and "_", so that the name is valid on any file system.

    >>> safe_name("film:mlp=one-hot")
    'film_mlp_one-hot'
    """
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


def is_system_file(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or made by an operating system.

    >>> is_system_file(".DS_Store"), is_system_file("Thumbs.db"), is_system_file("cat.png")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in SYSTEM_FILES
