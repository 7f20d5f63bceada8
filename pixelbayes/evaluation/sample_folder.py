"""A folder of samples that knows what it holds, so that none is drawn twice and none is stale."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixelbayes.data.sources.folder import SUFFIXES, images_in, visible
from pixelbayes.images.preprocessing import Preprocessing, open_image, save_image
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import safe_name, write_text
from pixelbayes.utils.progress import Tracker, no_progress

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


def file_stems(class_names: Sequence[str]) -> list[str]:
    """A file name's beginning for each class; with the label at its end where two classes would share one.

    >>> file_stems(["cat", "sea lion"])
    ['cat', 'sea_lion']
    >>> file_stems(["a b", "a_b"])
    ['a_b-0', 'a_b-1']
    """
    stems = [safe_name(name) for name in class_names]
    if len({stem.casefold() for stem in stems}) < len(stems):  # some file systems take "Cat" and "cat" for the same
        return [f"{stem}-{label}" for label, stem in enumerate(stems)]
    return stems


def sample_name(stem: str, index: int) -> str:
    """The file of image `index` of a class.

    >>> sample_name("cat", 7)
    'cat-0007.png'
    """
    return f"{stem}-{index:04d}.png"


@dataclass(frozen=True, eq=False)
class Samples:
    """Images that someone drew.

    Args:
        pixels: uint8 (Y, n, C, H, W), n of each class; (1, n, C, H, W) where no class is known.
        class_names: Y names; None where no class is known.
    """

    pixels: Tensor
    class_names: tuple[str, ...] | None


def read_samples(folder: Path, class_names: Sequence[str], preprocessing: Preprocessing) -> Samples:
    """Reads a folder of samples.

    The class of an image is told by its name, `class-0000.png`, or by the sub-folder it lies in; if none of the names
    is of that form, no class is known. Hidden files, and those that are no images, are left out.

    Args:
        folder: Where they are.
        class_names: The classes in label order; each must have the same number of images.
        preprocessing: Tells channels, levels and the size, to which nothing is resized here.

    Raises:
        InputError: If there is no image, a class is unknown, classes have unequal numbers of images or fewer than were
            to be drawn, or files cannot be read or are of another size: all of them at once.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of samples; correct the path, or draw some")
    grouped = _grouped(folder, class_names)
    if grouped is None:
        return Samples(_read(images_in(folder), preprocessing)[None], None)
    counts = {name: len(files) for name, files in zip(class_names, grouped, strict=True)}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(f"{folder}: unequal numbers of samples ({listed}); draw the rest, or remove some")
    _check_complete(folder, len(grouped[0]))
    if not grouped[0]:
        raise _no_image(folder)
    pixels = _read([file for files in grouped for file in files], preprocessing)
    return Samples(pixels.unflatten(0, (len(grouped), -1)), tuple(class_names))


def _grouped(folder: Path, class_names: Sequence[str]) -> list[list[Path]] | None:
    """The files of each class; None if no class is known."""
    files, folders = images_in(folder), [path for path in visible(folder) if path.is_dir()]
    if files and folders:
        raise InputError(f"{folder}: holds {folders[0].name}/ beside {files[0].name}; keep folders or images alone")
    if folders:
        named = {path.name: images_in(path) for path in folders}
        _check_known(folder, list(named), class_names)
        return [named.get(name, []) for name in class_names]
    if not files:
        raise _no_image(folder)
    stems = file_stems(class_names)
    told = [match[1] if (match := re.fullmatch(r"(.+)-\d{4,}", file.stem)) else "" for file in files]
    if not set(told) & set(stems) and not (folder / MANIFEST).is_file():
        return None
    _check_known(folder, [stem or file.name for stem, file in zip(told, files, strict=True)], stems)
    return [[file for file, of in zip(files, told, strict=True) if of == stem] for stem in stems]


def _no_image(folder: Path) -> InputError:
    return InputError(f"{folder}: no image ({', '.join(SUFFIXES)}) in this folder; draw some, or name another")


def _check_known(folder: Path, found: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in found if name not in known]
    if unknown:
        raise InputError(f"{folder}: {unknown[0]!r} is not a class, as are {', '.join(known)}; correct either")


def _check_complete(folder: Path, count: int) -> None:
    manifest = read_manifest(folder)
    wanted = manifest.get("samples_per_class") if manifest else None
    if wanted not in (None, count):
        raise InputError(f"{folder}: holds {count} of {wanted} samples of each class; draw the rest first")


def _read(files: Sequence[Path], preprocessing: Preprocessing) -> Tensor:
    """uint8 (N, C, H, W)."""
    pixels, faults = [], []
    for file in files:
        try:
            image = open_image(file)
        except InputError as error:
            faults.append(str(error))
            continue
        size, expected = (image.height, image.width), tuple(preprocessing.image_size)
        if size == expected:
            pixels.append(preprocessing(image))
        else:
            faults.append(f"{file}: {size[0]} x {size[1]}, expected {expected[0]} x {expected[1]}; draw at that size")
    if faults:
        raise InputError.listing(faults)
    return torch.stack(pixels)
