"""A zip or tar archive of what another source reads from a folder, or of an npz file. It is not unpacked to disk."""

from collections.abc import Callable

from pixelbayes.data.listing import Listing
from pixelbayes.data.sources.cifar import is_cifar, list_cifar
from pixelbayes.data.sources.csv_table import holds_tables, list_table
from pixelbayes.data.sources.folder import MAX_WRAPPERS, list_folder, unwrapped, visible
from pixelbayes.data.sources.idx import is_idx, list_idx
from pixelbayes.data.sources.npz import list_npz
from pixelbayes.utils.archives import AnyPath, as_path, open_archive
from pixelbayes.utils.errors import InputError

LISTERS: dict[str, Callable[[str | AnyPath, tuple[str, ...]], Listing]] = {
    "folder": list_folder,
    "csv": list_table,
    "npz": list_npz,
    "idx": list_idx,
    "cifar": list_cifar,
}
"""The sources that can be in an archive."""


def list_archive(location: str, class_names: tuple[str, ...]) -> Listing:
    """Lists the contents of an archive as the source that `layout_of` finds in it.

    Raises:
        InputError: If the file is missing, damaged or harmful, as described at `open_archive`; or as by that source.
    """
    path = as_path(location)
    if not path.is_file():
        raise InputError(f"{path}: no such file; correct --data")
    kind, contents = layout_of(open_archive(path))
    return LISTERS[kind](contents, class_names)


def layout_of(folder: AnyPath) -> tuple[str, AnyPath]:
    """The kind of source in a folder, a key of `LISTERS`, and where it is: the folder, or the only one within it."""
    inner = folder
    for _ in range(MAX_WRAPPERS):
        if is_idx(inner):
            return "idx", inner
        if is_cifar(inner):
            return "cifar", inner
        contents = visible(inner)
        folders = [path for path in contents if path.is_dir()]
        if not folders and [path.suffix.lower() for path in contents] == [".npz"]:
            return "npz", contents[0]
        if len(folders) != 1:
            break
        inner = folders[0]
    return ("csv" if holds_tables(unwrapped(folder)) else "folder"), folder
