"""Data sets of the Hugging Face hub, or saved to disk by its `datasets` library."""

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from pixelbayes.data.dataset import UNKNOWN_LABEL
from pixelbayes.data.listing import SPLIT_ALIASES, Listing, Record, relabel
from pixelbayes.images.preprocessing import decode_image, open_image
from pixelbayes.utils.errors import InputError


def list_hub(location: str, class_names: tuple[str, ...]) -> Listing:
    """Lists a data set: NAME, NAME:VARIANT if there are several variants, or a folder that `datasets` saved.

    The images are in the first column of type Image. The labels are in the column "label" of type ClassLabel, or in the
    first one of that type.

    Raises:
        InputError: If the library is missing, or the data set cannot be loaded or has no such columns.
    """
    datasets = _library()
    splits = _splits(datasets, location)
    features = next(iter(splits.values())).features
    image = _column(features, datasets.Image, location)
    label = _column(features, datasets.ClassLabel, location)
    found = tuple(features[label].names)
    class_names = class_names or found
    labels, faults = relabel(found, class_names, f"hub:{location}")

    def records(split: str, rows: Any) -> list[Record]:
        images = rows.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        values = rows[label] if label in rows.column_names else [None] * len(rows)
        return [
            Record(
                name=f"{split} row {index}",
                label=UNKNOWN_LABEL if value is None or value < 0 else labels[value],
                read=partial(_read, images, image, index, f"{split} row {index}"),
            )
            for index, value in enumerate(values)
        ]

    return Listing(
        splits={split: records(split, rows) for split, rows in splits.items()},
        class_names=class_names,
        faults=faults,
        undivided=set(splits) == {"train"},
    )


def is_saved_dataset(folder: Path) -> bool:
    """Whether the `datasets` library saved this folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "dataset_info.json").is_file()


def _library() -> ModuleType:
    try:
        return importlib.import_module("datasets")
    except ImportError:
        raise InputError("data from the hub needs the datasets library: pip install 'pixelbayes[hub]'") from None


def _splits(datasets: ModuleType, location: str) -> dict[str, Any]:
    """The parts of a data set under the names of `STANDARD_SPLITS`; a single part is "train", whatever its name."""
    folder = Path(location).expanduser()
    name, _, variant = location.partition(":")
    try:
        saved = is_saved_dataset(folder)
        loaded = datasets.load_from_disk(folder) if saved else datasets.load_dataset(name, variant or None)
    except Exception as error:  # the library has separate errors for network, login, missing names and damaged files
        reason = " ".join(str(error).split())
        raise InputError(f"hub:{location} cannot be loaded ({reason}); check the name and the connection") from error
    if isinstance(loaded, datasets.Dataset):
        return {"train": loaded}
    if len(loaded) == 1:
        return {"train": next(iter(loaded.values()))}
    splits = {SPLIT_ALIASES[name.lower()]: rows for name, rows in loaded.items() if name.lower() in SPLIT_ALIASES}
    if not splits:
        raise InputError(f"hub:{location} has splits {', '.join(loaded)}, but none called train, validation or test")
    return splits


def _column(features: Any, kind: type, location: str) -> str:
    names = [name for name, feature in features.items() if isinstance(feature, kind)]
    if not names:
        columns = ", ".join(features)
        raise InputError(
            f"hub:{location} has no column of type {kind.__name__}, only {columns}; choose another data set"
        )
    return "label" if "label" in names else names[0]


def _read(images: Any, column: str, index: int, name: str) -> Image.Image:
    value = images[index][column]
    if value is None:
        raise InputError(f"{name}: no image; remove the row")
    if value["bytes"] is None:
        return open_image(value["path"], f"{name}: {value['path']}")
    return decode_image(value["bytes"], name)
