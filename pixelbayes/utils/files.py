"""Files that are whole or not there: written to a temporary name, then renamed."""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CACHE = "PIXELBAYES_CACHE"  # in the environment


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; when the block ends well, renames it to `path`, else removes it.

    The suffix is kept for writers that go by it (Pillow, matplotlib). Missing folders are made. Who may read the file
    is left to the user's umask, whatever the writer does: that of safetensors shuts others out.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    temporary.touch()
    mode = temporary.stat().st_mode
    try:
        yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as the text of a csv file.

    >>> print(csv_text([["class", "n"], ["a, b", 2]]), end="")
    class,n
    "a, b",2
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def cache_folder() -> Path:
    """Where what is fetched or made once is kept: $PIXELBAYES_CACHE, else `pixelbayes` in the user's cache folder."""
    if own := os.environ.get(CACHE):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixelbayes"


def safe_name(name: str) -> str:
    """A name that any file system takes: letters, digits, "-" and "_" stay.

    >>> safe_name("film:mlp=one-hot")
    'film_mlp_one-hot'
    """
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
