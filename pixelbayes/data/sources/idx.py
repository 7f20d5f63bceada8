"""The files of MNIST and its like: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, also with .gz."""

import gzip
import io
import math
import re
import struct
import zlib
from collections import Counter, defaultdict

import numpy as np

from pixelbayes.data.listing import SPLIT_ALIASES, Listing
from pixelbayes.data.sources.arrays import LabelledArrays, NamedArray, array_faults, list_arrays
from pixelbayes.utils.archives import AnyPath, as_path, refuse_bomb
from pixelbayes.utils.errors import InputError

SPLITS = SPLIT_ALIASES | {"t10k": "test"}

NAME = re.compile(r"(?P<set>.+)[-._](?P<kind>images|labels)[-._]idx\d[-._]ubyte(\.gz)?", re.IGNORECASE)

TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}  # the third byte of a file


def is_idx(folder: AnyPath) -> bool:
    """Whether a folder holds files named like those of MNIST."""
    return any(NAME.fullmatch(path.name) for path in folder.iterdir())


def list_idx(location: str | AnyPath, class_names: tuple[str, ...]) -> Listing:
    """Lists the images in their order. The classes are the labels as text, in the order of numbers.

    The last word before "images" names the split, as in `emnist-letters-train-images-idx3-ubyte.gz`. A file is read
    rather than its compressed copy.

    Raises:
        InputError: If there are no such files.
    """
    folder = as_path(location)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; correct --data")
    faults: list[str] = []
    left_out: Counter[str] = Counter()
    files = _files(folder, faults, left_out)
    if not files:
        raise InputError(f"{folder}: no train-images-idx3-ubyte or train-images-idx3-ubyte.gz here; correct --data")
    splits: dict[str, list[LabelledArrays]] = {}
    for split, pair in files.items():
        if len(pair) < 2:
            (path,) = pair.values()
            faults.append(f"{path}: its images or its labels are missing; put both files into the folder")
            continue
        images, labels = (_read(pair[kind], faults) for kind in ("images", "labels"))
        if not images or not labels:
            continue
        if found := array_faults(folder, images, labels):
            faults += found
        else:
            splits[split] = [LabelledArrays(images.name, images.values, labels.values)]
    return list_arrays(splits, class_names, folder, faults=faults, left_out=dict(left_out))


def _files(folder: AnyPath, faults: list[str], left_out: "Counter[str]") -> dict[str, dict[str, AnyPath]]:
    """The files of "images" and "labels" of each split."""
    files: dict[str, dict[str, AnyPath]] = defaultdict(dict)
    for path in sorted(folder / path.name for path in folder.iterdir()):  # x before x.gz
        match = NAME.fullmatch(path.name)
        if match is None:
            left_out["not named like an idx file of images or labels"] += 1
            continue
        kind = match["kind"].lower()
        split = SPLITS.get(re.split("[-._]", match["set"].lower())[-1])
        if split is None:
            faults.append(f"{path}: names no split; call it train-{kind}-..., or move it away")
        elif (other := files[split].get(kind)) is None:
            files[split][kind] = path
        elif path.name == f"{other.name}.gz":
            left_out["compressed copy of an idx file"] += 1
        else:
            faults.append(f"{path}: a second {split} split beside {other.name}; give each data set its own folder")
    return files


def _read(path: AnyPath, faults: list[str]) -> NamedArray | None:
    """The array in a file: two zero bytes, its type, its number of dimensions, their lengths, its values.

    None if the file is damaged, which is added to the faults.
    """
    packed = path.read_bytes()
    try:
        with gzip.open(io.BytesIO(packed)) if packed.startswith(b"\x1f\x8b") else io.BytesIO(packed) as file:
            zeros, kind, dimensions = struct.unpack(">HBB", file.read(4))
            shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
            dtype = np.dtype(TYPES[kind])
            size = dtype.itemsize * math.prod(shape)
            refuse_bomb(path, size, len(packed))
            values = file.read(size + 1)
    except InputError as error:
        faults.append(str(error))
    except (struct.error, KeyError, OSError, EOFError, zlib.error):
        faults.append(f"{path}: damaged or not an idx file; download it again")
    else:
        if not zeros and len(values) == size:
            return NamedArray(path.name, np.frombuffer(values, dtype).reshape(shape))
        faults.append(
            f"{path}: its header announces an array of shape {shape}, but its length differs; download it again"
        )
    return None
