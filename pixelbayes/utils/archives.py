"""Reads zip and tar archives like folders, without unpacking them to disk. Harmful archives are refused."""

import bz2
import errno
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar, NamedTuple, Self

from pixelbayes.utils.errors import InputError

MAX_MEMBERS = 1_000_000
MAX_BYTES = 64 * 2**30  # of all members together
MAX_IN_MEMORY = 8 * 2**30  # of one member, or of a compressed tar archive, which cannot be read in any other order
MAX_RATIO = 100  # of the unpacked and the packed size, if there are more unpacked bytes than
UNSUSPICIOUS_BYTES = 256 * 2**20  # because small archives of plain images may have a larger ratio

_ZIP = (b"PK\3\4", b"PK\5\6")  # the first bytes of a zip archive, and of an empty one

Read = Callable[[], bytes]


class ArchivePath(PurePosixPath):
    """A file or folder in an archive, with those methods of `pathlib.Path` that read.

    It begins with the path of the archive, as in `photos.zip/cat/0.png`. `open_archive` returns the path of the archive
    itself, which is a folder. Nothing outside the archive can be reached from it.
    """

    _files: ClassVar[Mapping[str, Read]] = {}
    _folders: ClassVar[Mapping[str, set[str]]] = {}  # names of the files and folders in each folder

    def is_file(self) -> bool:
        return str(self) in self._files

    def is_dir(self) -> bool:
        return str(self) in self._folders

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def is_symlink(self) -> bool:
        return False  # `open_archive` refuses links

    def iterdir(self) -> Iterator[Self]:
        if not self.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self))
        return (self / name for name in self._folders[str(self)])

    def read_bytes(self) -> bytes:
        """The contents of the file.

        Raises:
            FileNotFoundError: If the archive has no such file.
            InputError: If its data are damaged.
        """
        if not self.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return self._files[str(self)]()

    def open(self, *, encoding: str, newline: str | None = None) -> io.TextIOWrapper:
        """Opens the file for reading text."""
        return io.TextIOWrapper(io.BytesIO(self.read_bytes()), encoding, newline=newline)


AnyPath = Path | ArchivePath
"""A path on the disk or in an archive."""


def as_path(location: str | AnyPath) -> AnyPath:
    """A path, given as text or as itself; `~` is the user's home folder."""
    return Path(location).expanduser() if isinstance(location, str) else location


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive, whatever its name."""
    if _start(path).startswith(_ZIP):
        return True
    try:
        with _opener(path)(path, "rb") as file:
            tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except (*_DAMAGED, OSError):
        return False
    return True


def open_archive(path: AnyPath) -> ArchivePath:
    """Opens a zip archive, or a tar archive that is plain or compressed by gzip, bzip2 or xz.

    A zip or plain tar archive is read from its file when a member is read. A compressed tar archive is held in memory.

    Args:
        path: The archive. An archive in another one must be a zip archive.

    Returns:
        The archive as a folder.

    Raises:
        InputError: If the file is not such an archive or is damaged; if members are links, devices or encrypted, lead
            out of the archive or have the same name; or if it holds more than the constants above allow.
    """
    files: dict[str, Read] = {}
    folders: dict[str, set[str]] = {path.as_posix(): set()}
    faults: list[str] = []

    class Opened(ArchivePath):
        _files = files
        _folders = folders

    root = Opened(path.as_posix())
    count = total = 0
    content = path if isinstance(path, Path) else path.read_bytes()
    packed = content.stat().st_size if isinstance(content, Path) else len(content)
    for member in _members(path, content, packed):
        count += 1
        total += member.size
        if count > MAX_MEMBERS:
            raise InputError(f"{path}: more than {MAX_MEMBERS} files; unpack it and name the folder")
        refuse_bomb(path, total, packed, MAX_BYTES)
        relative = PurePosixPath(member.name.replace("\\", "/"))  # some programs on Windows write backslashes
        inner = root / relative
        fault = member.fault
        if ".." in relative.parts or relative.is_absolute() or re.match("[A-Za-z]:", member.name):
            fault = "its path leads out of the archive; make the archive again from a source that you trust"
        elif str(inner) in files or (member.read and str(inner) in folders):
            fault = "there are two of this name; make the archive again"
        if fault:
            faults.append(f"{path}: {member.name}: {fault}")
            continue
        if member.read:
            files[str(inner)] = member.read
        elif inner != root:
            folders.setdefault(str(inner), set())
        for child in (inner, *inner.parents):
            if child == root:
                break
            folders.setdefault(str(child.parent), set()).add(child.name)
    faults += [
        f"{path}: {name} is both a file and a folder; make the archive again" for name in files if name in folders
    ]
    if faults:
        raise InputError.listing(faults)
    return root


class _Member(NamedTuple):
    name: str
    size: int  # in bytes, unpacked
    read: Read | None  # None for a folder
    fault: str | None = None


def _members(path: AnyPath, content: Path | bytes, packed: int) -> Iterator[_Member]:
    try:
        if isinstance(content, bytes):
            yield from _zip_members(path, zipfile.ZipFile(io.BytesIO(content)))
        elif _start(content).startswith(_ZIP):  # zipfile.is_zipfile also finds a zip archive within a tar archive
            yield from _zip_members(path, zipfile.ZipFile(content))
        else:
            yield from _tar_members(content, packed)
    except (*_DAMAGED, OSError) as error:
        raise _damaged(path, error) from error


_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


def _damaged(path: AnyPath | str, error: Exception) -> InputError:
    return InputError(f"{path}: cannot be read ({' '.join(str(error).split())}); download it or make the archive again")


def refuse_bomb(path: AnyPath, size: int, packed: int, most: int = MAX_IN_MEMORY) -> None:
    """Checks the size of data before they are unpacked.

    Args:
        path: The file in messages.
        size: In bytes, unpacked.
        packed: In bytes, as it is.
        most: Largest size allowed.

    Raises:
        InputError: If the size, or its ratio to the packed size, is larger than that of data of images.
    """
    if size > most or (size > UNSUSPICIOUS_BYTES and size > MAX_RATIO * packed):
        raise InputError(
            f"{path}: {packed} bytes unpack to {size} or more, which is too much for an archive of images; if you "
            "trust it, unpack it and name the folder"
        )


# Zip


def _zip_members(path: AnyPath, archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        refuse_bomb(path, info.file_size, info.compress_size)
        read = None if info.is_dir() else partial(_read_zip, archive, info, f"{path}/{info.filename}")
        yield _Member(info.filename, info.file_size, read, _zip_fault(info))


def _zip_fault(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & 1:
        return "is encrypted; make the archive without a password"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link; put the file itself into the archive"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # the decompressors of the others have no limit in zipfile, so that a false size would not be noticed in time
        return f"is compressed by method {info.compress_type} of zip; make the archive with deflate, the usual one"
    return None


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    try:
        with archive.open(info) as file:
            data = file.read(info.file_size)  # not read(), which would first unpack more than this
    except (*_DAMAGED, OSError) as error:
        raise _damaged(name, error) from error
    if len(data) < info.file_size:
        raise _damaged(name, EOFError(f"{len(data)} bytes instead of {info.file_size}"))
    return data


# Tar


class _StrictTarInfo(tarfile.TarInfo):
    """A header of a tar archive. `tarfile` takes a damaged one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"damaged after {tarfile_.offset} bytes: {error}") from error


class _Unpacked:
    """The bytes of a compressed file, counted while they are read."""

    def __init__(self, file: BinaryIO, path: Path, packed: int):
        self.file, self.path, self.packed = file, path, packed
        self.size = 0

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.size += len(data)
        refuse_bomb(self.path, self.size, self.packed)
        return data


def _tar_members(path: Path, packed: int) -> Iterator[_Member]:
    opener = _opener(path)
    is_plain = opener is Path.open
    with opener(path, "rb") as file:
        stream = file if is_plain else _Unpacked(file, path, packed)
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as archive:  # type: ignore[call-overload]
            for info in archive:
                fault: str | None = None
                read: Read | None = None
                if info.issparse() or not (info.isfile() or info.isdir()):
                    fault = "is a link, a device or a sparse file; put a plain file into the archive"
                elif info.isfile() and is_plain:
                    read = partial(_read_slice, path, info.offset_data, info.size)
                elif info.isfile():
                    refuse_bomb(path, info.size, packed)
                    read = io.BytesIO(archive.extractfile(info).read()).getvalue
                yield _Member(info.name, info.size, read, fault)


def _opener(path: Path) -> Callable[..., Any]:
    start = _start(path)
    openers: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
    return next((opener for magic, opener in openers.items() if start.startswith(magic)), Path.open)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6)


def _read_slice(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
