"""Datasets of the Hugging Face hub, or saved to disk by its `datasets` library."""

from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from pixelbayes.data.listing import SPLIT_ALIASES, Listing, Record, relabel
from pixelbayes.images.preprocessing import decode_image, open_image
from pixelbayes.utils.errors import InputError


def list_hub(location: str, class_names: tuple[str, ...]) -> Listing:
    """A NAME, a NAME:VARIANT where the dataset has several, or a folder that `datasets` saved.

    Columns go by type: the first of images, and of class labels the one called "label", else the first.
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
                label=-1 if value is None or value < 0 else labels[value],
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
    return (folder / "dataset_dict.json").is_file() or (folder / "dataset_info.json").is_file()


def _library() -> ModuleType:
    try:
        import datasets
    except ImportError:
        raise InputError("data from the hub needs the datasets library: pip install 'pixelbayes[hub]'") from None
    return datasets


def _splits(datasets: ModuleType, location: str) -> dict[str, Any]:
    """The dataset's parts under our names; one with a single part is a pool, whatever it is called."""
    folder = Path(location).expanduser()
    name, _, variant = location.partition(":")
    try:
        saved = is_saved_dataset(folder)
        loaded = datasets.load_from_disk(folder) if saved else datasets.load_dataset(name, variant or None)
    except Exception as error:  # network, login, missing name, damaged files: the library has its own error for each
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
        there = ", ".join(features)
        raise InputError(f"hub:{location} has no column of type {kind.__name__}, only {there}; choose another dataset")
    return "label" if "label" in names else names[0]


def _read(images: Any, column: str, index: int, name: str) -> Image.Image:
    value = images[index][column]
    if value is None:
        raise InputError(f"{name}: no image; remove the row")
    if value["bytes"] is None:
        return open_image(value["path"], f"{name}: {value['path']}")
    return decode_image(value["bytes"], name)
