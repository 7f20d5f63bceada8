"""CIFAR-10 and CIFAR-100 as their authors distribute them: the binary and the Python version.

Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html
"""

import io
import pickle
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelbayes.data.listing import Listing
from pixelbayes.data.sources.arrays import LabelledArrays, list_arrays
from pixelbayes.utils.archives import AnyPath, as_path
from pixelbayes.utils.errors import InputError

PIXELS = 3 * 32 * 32  # bytes of an image, (3, 32, 32)

REMEDY = "download it again from https://www.cs.toronto.edu/~kriz/cifar.html"


@dataclass(frozen=True, kw_only=True)
class _Version:
    """The files of one of the versions.

    Args:
        names: File of the class names.
        train: Files of the training images.
        test: File of the test images.
        labels: Bytes before the pixels of an image in the binary version; the last one is its label.
        key: Key of the labels in the Python version; empty for the binary version.
    """

    names: str
    train: tuple[str, ...]
    test: str
    labels: int = 0
    key: str = ""


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))

VERSIONS = (
    _Version(
        names="batches.meta.txt", train=tuple(f"{name}.bin" for name in _BATCHES), test="test_batch.bin", labels=1
    ),
    _Version(names="batches.meta", train=_BATCHES, test="test_batch", key="label"),
    _Version(names="fine_label_names.txt", train=("train.bin",), test="test.bin", labels=2),
    _Version(names="meta", train=("train",), test="test", key="fine_label"),
)


def _version(folder: AnyPath) -> _Version | None:
    """The version whose names and at least one file of images are in a folder."""
    for version in VERSIONS:
        files = (*version.train, version.test)
        if (folder / version.names).is_file() and any((folder / name).is_file() for name in files):
            return version
    return None


def is_cifar(folder: AnyPath) -> bool:
    """Whether a folder holds one of the versions of CIFAR-10 or CIFAR-100."""
    return _version(folder) is not None


def list_cifar(location: str | AnyPath, class_names: tuple[str, ...]) -> Listing:
    """Lists the images in their order. The classes have their names and order in the data, the fine ones of CIFAR-100.

    The Python version consists of pickles, which are read by `read_pickle`.

    Raises:
        InputError: If the folder holds no version, or its class names cannot be read.
    """
    folder = as_path(location)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; correct --data")
    version = _version(folder)
    if version is None:
        names = ", ".join(version.names for version in VERSIONS)
        raise InputError(f"{folder}: none of {names} with its files of images here; correct --data")
    found = _class_names(folder / version.names, version)
    faults: list[str] = []
    splits: dict[str, list[LabelledArrays]] = {}
    for split, files in {"train": version.train, "test": (version.test,)}.items():
        for path in (folder / file for file in files):
            try:
                images, labels = _read(path, version)
            except InputError as error:
                faults.append(str(error))
                continue
            if all(label in range(len(found)) for label in set(labels.tolist())):
                splits.setdefault(split, []).append(LabelledArrays(path.name, images, np.array(found)[labels]))
            else:
                faults.append(f"{path}: labels beyond the {len(found)} names in {version.names}; {REMEDY}")
    return list_arrays(splits, class_names, folder, faults=faults, left_out={}, found=found)


def _class_names(path: AnyPath, version: _Version) -> tuple[str, ...]:
    names = read_pickle(path).get(f"{version.key}_names", ()) if version.key else path.read_bytes().splitlines()
    names = names if isinstance(names, list) else []
    texts = [name.decode("latin1") if isinstance(name, bytes) else str(name) for name in names]
    found = tuple(name for name in texts if name)
    if not found or len(set(found)) < len(found):
        raise InputError(f"{path}: no class names, or one of them twice; {REMEDY}")
    return found


def _read(path: AnyPath, version: _Version) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """The images of a file, uint8 (N, 32, 32, 3), and their labels, whole numbers (N,)."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; {REMEDY}")
    if version.key:
        batch = read_pickle(path)
        try:
            pixels, labels = np.asarray(batch.get("data")), np.asarray(batch.get(f"{version.key}s"))
        except ValueError:  # lists of unequal lengths
            pixels = labels = np.empty(0)
    else:
        data, row = path.read_bytes(), version.labels + PIXELS
        rows = np.frombuffer(data, np.uint8, count=len(data) // row * row).reshape(-1, row)
        pixels, labels = rows[:, version.labels :], rows[:, version.labels - 1]
        if len(data) % row:
            raise InputError(f"{path}: {len(data)} bytes, expected a multiple of {row}; {REMEDY}")
    is_whole = labels.ndim == 1 and labels.dtype.kind in "iu"
    if not is_whole or pixels.dtype != np.uint8 or pixels.shape != (len(labels), PIXELS):
        raise InputError(f"{path}: not {PIXELS} bytes of pixels and a label for each image; {REMEDY}")
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


# Pickles


def read_pickle(path: AnyPath) -> dict[str, Any]:
    """Reads a pickled dictionary of numbers, texts, bytes, lists, dictionaries and arrays of integers.

    A pickle names the functions that build its objects, and `pickle` executes any. Here those of arrays and bytes are
    replaced by functions of this module, and all others are refused.

    Raises:
        InputError: If the file names another function, is damaged or is not a dictionary.
    """
    try:
        content = _Unpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except Exception as error:  # the kind of error depends on the damage
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as a pickle of CIFAR ({reason}); {REMEDY}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a dictionary like the pickles of CIFAR; {REMEDY}")
    return {
        key.decode("latin1") if isinstance(key, bytes) else str(key): value.values if type(value) is _Array else value
        for key, value in content.items()
    }


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        match module.replace("numpy._core", "numpy.core"), name:
            case "numpy.core.multiarray", "_reconstruct":  # its arguments do not matter, because a state follows
                return lambda *_: _Array()
            case "numpy.core.numeric", "_frombuffer":  # in protocol 5
                return lambda data, dtype, shape, order: dtype.array(data, shape, order)
            case "numpy", "ndarray":  # an argument of _reconstruct
                return None
            case "numpy", "dtype":
                return lambda code, *_: _Type(code)
            case "_codecs", "encode":  # bytes before protocol 3
                return lambda text, _: text.encode("latin1")
            case "__builtin__", "bytes":  # likewise, if there are none
                return lambda: b""
        raise pickle.UnpicklingError(f"it names {module}.{name}, which may execute code; do not trust it")


class _Type:
    """Stands for `numpy.dtype` in a pickle."""

    def __init__(self, code: str):
        if not re.fullmatch("[iu][1248]", code):
            raise pickle.UnpicklingError(f"an array of type {code} instead of integers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])

    def array(self, data: bytes | str, shape: tuple[int, ...], order: str) -> NDArray[Any]:
        raw = data.encode("latin1") if isinstance(data, str) else data
        return np.frombuffer(raw, self.dtype).reshape(shape, order="F" if order == "F" else "C")


class _Array:
    """Stands for `numpy.ndarray` in a pickle."""

    values: NDArray[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, data = state
        self.values = dtype.array(data, shape, "F" if is_fortran else "C")
