"""Data sets of the Hugging Face hub, or saved to disk by its `datasets` library."""

import importlib
import re
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from pixelbayes.data.dataset import UNKNOWN_LABEL
from pixelbayes.data.listing import (
    LABEL_COLUMNS,
    SPLIT_ALIASES,
    Listing,
    Record,
    in_label_order,
    label_text,
    relabel,
    written_labels,
)
from pixelbayes.images.preprocessing import decode_image, open_image
from pixelbayes.utils.errors import InputError


def list_hub(location: str, class_names: tuple[str, ...]) -> Listing:
    """Lists a data set: NAME, NAME:VARIANT if there are several variants, or a folder that `datasets` saved.

    The images are in the first column of type Image. The labels are in the column "label" of type ClassLabel, in the
    first one of that type, or in a column of `LABEL_COLUMNS` with text or whole numbers.

    Raises:
        InputError: If the library is missing, or the data set cannot be loaded or has no such columns.
    """
    datasets = _library()
    splits, left_out = _splits(datasets, location)
    features = splits.get("train", next(iter(splits.values()))).features
    image = _image_column(datasets, features, location)
    label = _label_column(datasets, features, location)
    names = tuple(features[label].names) if isinstance(features[label], datasets.ClassLabel) else ()
    texts = {split: _labels(rows, label, names) for split, rows in splits.items()}
    found = names or in_label_order(text for of_split in texts.values() for text in of_split if text)
    class_names = class_names or found
    labels, faults = relabel(found, class_names, f"hub:{location}")
    label_of = dict(zip(found, labels, strict=True))

    def records(split: str, rows: Any) -> list[Record]:
        images = rows.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        return [
            Record(
                name=f"{split} row {index}",
                label=label_of.get(text, UNKNOWN_LABEL),
                read=partial(_read, images, image, index, f"{split} row {index}"),
            )
            for index, text in enumerate(texts[split])
        ]

    return Listing(
        splits={split: records(split, rows) for split, rows in splits.items()},
        class_names=class_names,
        faults=faults,
        undivided=set(splits) == {"train"},
        left_out=left_out,
        written_labels=written_labels(found, class_names),
    )


def _labels(rows: Any, column: str, names: tuple[str, ...]) -> list[str]:
    """The class of each row, empty if it is unknown; `names` are those of a column of type ClassLabel."""
    if column not in rows.column_names:
        return [""] * len(rows)
    if not names:
        return [label_text(value) for value in rows[column]]
    return ["" if value is None or value < 0 else names[value] for value in rows[column]]


def is_saved_dataset(folder: Path) -> bool:
    """Whether the `datasets` library saved this folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "dataset_info.json").is_file()


def _library() -> ModuleType:
    try:
        return importlib.import_module("datasets")
    except ImportError:
        raise InputError("data from the hub needs the datasets library: pip install 'pixelbayes[hub]'") from None


def _splits(datasets: ModuleType, location: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The parts of a data set under the names of `STANDARD_SPLITS`, and the rows that are left out.

    A single part is "train", whatever its name.
    """
    folder = Path(location).expanduser()
    name, _, variant = location.partition(":")
    try:
        saved = is_saved_dataset(folder)
        loaded = datasets.load_from_disk(folder) if saved else datasets.load_dataset(name, variant or None)
    except Exception as error:  # the library has separate errors for network, login, missing names and damaged files
        reason = " ".join(str(error).split())
        raise InputError(f"hub:{location} cannot be loaded ({reason}); check the name and the connection") from error
    if isinstance(loaded, datasets.Dataset):
        return {"train": loaded}, {}
    if len(loaded) == 1:
        return {"train": next(iter(loaded.values()))}, {}
    names: dict[str, str] = {}
    left_out: dict[str, int] = {}
    for name, rows in loaded.items():
        split = SPLIT_ALIASES.get(name.lower())
        if split is None:
            left_out[f"row of split {name}"] = len(rows)
        elif split in names:
            raise InputError(f"hub:{location}: {names[split]} and {name} are both {split} splits; save only one")
        else:
            names[split] = name
    if not names:
        raise InputError(f"hub:{location} has splits {', '.join(loaded)}, but none called train, validation or test")
    return {split: loaded[name] for split, name in names.items()}, left_out


def _image_column(datasets: ModuleType, features: Any, location: str) -> str:
    for name, feature in features.items():
        if isinstance(feature, datasets.Image):
            return str(name)
    raise InputError(f"hub:{location} has no column of type Image, only {', '.join(features)}; choose another data set")


def _label_column(datasets: ModuleType, features: Any, location: str) -> str:
    typed = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    named = [
        name
        for known in LABEL_COLUMNS
        for name, feature in features.items()
        if name.lower() == known and re.fullmatch("u?int[0-9]+|(large_)?string|bool", getattr(feature, "dtype", ""))
    ]
    if not typed and not named:
        raise InputError(
            f"hub:{location} has no column of type ClassLabel, and none of text or whole numbers called "
            f"{', '.join(LABEL_COLUMNS)}, only {', '.join(features)}; choose another data set"
        )
    return "label" if "label" in typed else (typed or named)[0]


def _read(images: Any, column: str, index: int, name: str) -> Image.Image:
    value = images[index][column]
    if value is None:
        raise InputError(f"{name}: no image; remove the row")
    if value["bytes"] is None:
        return open_image(value["path"], f"{name}: {value['path']}")
    return decode_image(value["bytes"], name)
