"""Arrays in one file of `numpy.savez`, named as by MedMNIST (`train_images`), Keras (`x_train`) or just `x` and `y`."""

import io
from collections import defaultdict

import numpy as np

from pixelbayes.data.dataset import UNKNOWN_LABEL
from pixelbayes.data.listing import SPLIT_ALIASES, Listing
from pixelbayes.data.sources.arrays import LabelledArrays, NamedArray, array_faults, list_arrays
from pixelbayes.utils.archives import AnyPath, as_path, open_archive
from pixelbayes.utils.errors import InputError

KINDS = dict.fromkeys(("images", "image", "x", "data"), "images")
KINDS |= dict.fromkeys(("labels", "label", "y", "targets", "target"), "labels")

EXPECTED = "expected x and y, or train_images, train_labels, val_images, ..., or x_train, y_train, x_test, ..."


def list_npz(location: str | AnyPath, class_names: tuple[str, ...]) -> Listing:
    """Lists the images in their order: uint8, (N, H, W), (N, H, W, 1) or (N, H, W, 3); labels (N,) or (N, 1).

    The classes are the labels as text, in the order of numbers or the alphabet. Test images may lack labels.

    Raises:
        InputError: If the file is missing or damaged.
    """
    path = as_path(location)
    if not path.is_file():
        raise InputError(f"{path}: no such file; correct --data")
    faults: list[str] = []
    left_out: dict[str, int] = {}
    arrays = _arrays(path, faults, left_out)
    splits: dict[str, list[LabelledArrays]] = {}
    for split, of_split in arrays.items():
        images, labels = of_split.get("images"), of_split.get("labels")
        if images and split == "test" and "labels" not in of_split:
            labels = NamedArray("", np.full(images.values.shape[:1], UNKNOWN_LABEL))
        if images and labels:
            if found := array_faults(path, images, labels):
                faults += found
            else:
                splits[split or "train"] = [LabelledArrays(images.name, images.values, labels.values)]
        elif len(of_split) == 1 and (only := images or labels):
            faults.append(f"{path}: {only.name} is there, but not its images or labels; {EXPECTED}")
    if not arrays and not faults:
        faults.append(f"{path}: no images; {EXPECTED}")
    if "" in arrays and len(arrays) > 1:
        faults.append(f"{path}: some arrays belong to a split and some do not; {EXPECTED}")
    return list_arrays(splits, class_names, path, faults=faults, left_out=left_out, undivided="" in arrays)


def _arrays(path: AnyPath, faults: list[str], left_out: dict[str, int]) -> dict[str, dict[str, NamedArray | None]]:
    """The "images" and "labels" of each split, None if they cannot be read. Arrays that name no split are in "".

    The reasons are added to the faults.
    """
    arrays: dict[str, dict[str, NamedArray | None]] = defaultdict(dict)
    for file in sorted(open_archive(path).iterdir()):
        name = file.stem
        split, kind = _split_and_kind(name)
        if kind is None or not file.is_file():
            reason = "array whose name is that of neither images nor labels"
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        if kind in arrays[split]:
            faults.append(f"{path}: {name} is a second array of {kind} for one split; remove one")
            continue
        arrays[split][kind] = None
        try:
            values = np.load(io.BytesIO(file.read_bytes()), allow_pickle=False)
        except (ValueError, EOFError, MemoryError) as error:  # ValueError: Python objects or damaged
            reason = " ".join(str(error).split())
            faults.append(f"{path}: {name} cannot be read ({reason}); save uint8 images and whole numbers as labels")
            continue
        is_column = values.shape[-1:] == (1,) and values.ndim == (4 if kind == "images" else 2)
        arrays[split][kind] = NamedArray(name, values[..., 0] if is_column else values)
    return arrays


def _split_and_kind(name: str) -> tuple[str, str | None]:
    """What the words of a name say: "val_images" is ("validation", "images"), "x" is ("", "images")."""
    words = name.lower().split("_")
    kinds = [KINDS[word] for word in words if word in KINDS]
    splits = [SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES]
    if len(kinds) != 1 or len(splits) > 1 or len(words) > len(kinds) + len(splits):
        return "", None
    return "".join(splits), kinds[0]
