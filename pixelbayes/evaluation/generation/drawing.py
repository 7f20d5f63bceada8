"""A folder of samples that knows what it holds, so that none is drawn twice and none is stale."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixelbayes.data.folder import SUFFIXES, visible
from pixelbayes.errors import InputError
from pixelbayes.evaluation.generation.naming import file_stems, sample_name
from pixelbayes.files import write_text
from pixelbayes.images import save_image
from pixelbayes.progress import Tracker, no_progress

MANIFEST = "samples.json"  # in a sample folder: what its images are a function of

# labels and indices, int64 (B,), to images uint8 (B, C, H, W): of each class's endless series those of the indices
Draw = Callable[[Tensor, Tensor], Tensor]


def draw_samples(
    folder: Path,
    draw: Draw,
    class_names: Sequence[str],
    count: int,
    *,
    levels: int,
    settings: Mapping[str, Any],
    overwrite: bool = False,
    batch_size: int = 100,
    track: Tracker = no_progress,
) -> list[Path]:
    """Fills a folder with `count` samples of each class, drawing only those that are not there yet.

    Each batch is saved as it comes, each file whole or not at all: what is killed half-way goes on from there.

    Args:
        folder: New, empty, or begun with the same settings.
        draw: Draws any images of the classes' series; which others are in the batch must not matter.
        class_names: A name for each label.
        count: Images of each class.
        levels: Number of values a colour can take.
        settings: All else that the images are a function of, as plain JSON values: weights, seed, temperature, ...
        overwrite: Empty the folder first, if it holds nothing but images and their manifest.
        batch_size: Images drawn at a time.
        track: Wraps the loop over batches, to show progress.

    Returns:
        The files, class by class.

    Raises:
        InputError: If the folder holds anything else, or samples with other settings.
    """
    if count < 1:
        raise InputError(f"{count} samples of each class, expected at least 1")
    manifest = json.loads(
        json.dumps({**settings, "class_names": list(class_names), "samples_per_class": count, "levels": levels})
    )
    wanted = [
        (folder / sample_name(stem, index), label, index)
        for label, stem in enumerate(file_stems(class_names))
        for index in range(count)
    ]
    _claim(folder, manifest, {path.name for path, _, _ in wanted}, overwrite)
    missing = [entry for entry in wanted if not entry[0].is_file()]
    for start in track(range(0, len(missing), batch_size)):
        paths, labels, indices = zip(*missing[start : start + batch_size], strict=True)
        for path, image in zip(paths, draw(torch.tensor(labels), torch.tensor(indices)), strict=True):
            save_image(path, image, levels)
    return [path for path, _, _ in wanted]


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What a sample folder's images are a function of; None if it has no manifest.

    Raises:
        InputError: If the manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); draw into another folder, or --overwrite") from None
    if not isinstance(manifest, dict):
        raise InputError(f"{path}: not the manifest of a sample folder; draw into another folder, or --overwrite")
    return manifest


def _claim(folder: Path, manifest: dict[str, Any], names: set[str], overwrite: bool) -> None:
    """Makes the folder that of this manifest, whose samples are called `names`; or raises InputError."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file, where a folder for samples is wanted; name another")
    there = visible(folder) if folder.is_dir() else []
    if overwrite:
        _empty(there)
        there = []
    found = read_manifest(folder) if there else None
    if found is not None and found != manifest:
        raise InputError(
            f"{folder}: holds other samples ({_difference(found, manifest)}); name another, or --overwrite"
        )
    others = [path.name for path in there if found is None or path.name not in names | {MANIFEST}]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise InputError(f"{folder}: holds {others[0]}{more}, not of these samples; name another, or --overwrite")
    if found is None:
        write_text(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _empty(there: Sequence[Path]) -> None:
    for path in there:
        if not path.is_file() or (path.name != MANIFEST and path.suffix.lower() not in SUFFIXES):
            raise InputError(f"{path}: not an image, so --overwrite leaves it and all else there; name another folder")
    for path in there:
        path.unlink()


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    keys = [key for key in dict.fromkeys((*found, *wanted)) if found.get(key) != wanted.get(key)]
    return ", ".join(f"{key} {found.get(key)} there, {wanted.get(key)} now" for key in keys)
