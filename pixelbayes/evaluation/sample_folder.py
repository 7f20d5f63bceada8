"""A folder of samples, one image file per sample, of any origin.

`draw_samples` adds a manifest that records how the images are drawn. It draws only the images that are missing, and
refuses a folder whose images were drawn with other settings.
"""

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

MANIFEST = "samples.json"

Draw = Callable[[Tensor, Tensor], Tensor]
"""Maps labels and indices, int64 (B,) each, to samples, uint8 (B, C, H, W); sample i of a class is always the same."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples, and their classes if they are known.

    Args:
        pixels: uint8 (Y, n, C, H, W), n of each class; (1, n, C, H, W) if the classes are not known.
        class_names: Y names; None if the classes are not known.
    """

    pixels: Tensor
    class_names: tuple[str, ...] | None


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
    """Fills a folder with `count` samples of each class. Draws only those that are missing.

    Every batch is saved at once, and every file is written completely or not at all. An interrupted call can therefore
    be repeated, and continues.

    Args:
        folder: A new or empty folder, or one that was started with the same settings.
        draw: Draws samples. A sample must not depend on the others of its batch.
        class_names: The name of each label.
        count: Samples per class.
        levels: Number of values a colour can take.
        settings: Everything else that determines the images, as JSON values: weights, seed, temperature, ...
        overwrite: Empty the folder first, if it holds nothing but images and a manifest.
        batch_size: Images drawn at a time.
        track: Wraps the loop over batches, to show progress.

    Returns:
        The files, class by class.

    Raises:
        InputError: If the folder holds anything else, or samples with other settings.
    """
    if count < 1:
        raise InputError(f"{count} samples per class, expected at least 1")
    manifest = {**settings, "class_names": list(class_names), "samples_per_class": count, "levels": levels}
    samples = [
        (folder / sample_name(stem, index), label, index)
        for label, stem in enumerate(file_stems(class_names))
        for index in range(count)
    ]
    _prepare_folder(folder, json.loads(json.dumps(manifest)), {path.name for path, _, _ in samples}, overwrite)
    missing = [sample for sample in samples if not sample[0].is_file()]
    for start in track(range(0, len(missing), batch_size)):
        paths, labels, indices = zip(*missing[start : start + batch_size], strict=True)
        for path, image in zip(paths, draw(torch.tensor(labels), torch.tensor(indices)), strict=True):
            save_image(path, image, levels)
    return [path for path, _, _ in samples]


def read_samples(folder: Path, class_names: Sequence[str], preprocessing: Preprocessing) -> Samples:
    """Reads a folder of samples. Ignores hidden files and files that are not images.

    The class of an image is that of its file name, `class-0000.png`, or of its sub-folder. If no file name has this
    form, the classes are not known.

    Args:
        folder: The folder.
        class_names: The classes in the order of their labels; each must have the same number of images.
        preprocessing: Determines channels, levels and the required size; no image is resized.

    Raises:
        InputError: If there is no image, a class is unknown, the classes have different numbers of images or fewer than
            the manifest says, or if files cannot be read or have another size; the message lists all such files.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of samples; correct the path, or draw some")
    by_class = _files_by_class(folder, class_names)
    if by_class is None:
        return Samples(_read_images(images_in(folder), preprocessing)[None], None)
    counts = {name: len(files) for name, files in zip(class_names, by_class, strict=True)}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(f"{folder}: unequal numbers of samples ({listed}); draw the rest, or remove some")
    _check_complete(folder, len(by_class[0]))
    if not by_class[0]:
        raise _no_image(folder)
    pixels = _read_images([file for files in by_class for file in files], preprocessing)
    return Samples(pixels.unflatten(0, (len(by_class), -1)), tuple(class_names))


# Names and the manifest


def file_stems(class_names: Sequence[str]) -> list[str]:
    """The first part of the file names of each class. It ends in the label if two classes would share a name.

    >>> file_stems(["cat", "sea lion"])
    ['cat', 'sea_lion']
    >>> file_stems(["a b", "a_b"])
    ['a_b-0', 'a_b-1']
    """
    stems = [safe_name(name) for name in class_names]
    if len({stem.casefold() for stem in stems}) < len(stems):  # some file systems do not distinguish "Cat" and "cat"
        return [f"{stem}-{label}" for label, stem in enumerate(stems)]
    return stems


def sample_name(stem: str, index: int) -> str:
    """The file name of a sample.

    >>> sample_name("cat", 7)
    'cat-0007.png'
    """
    return f"{stem}-{index:04d}.png"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The settings with which the samples of a folder are drawn; None without a manifest.

    Raises:
        InputError: If the manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); name another folder, or add --overwrite") from None
    if not isinstance(manifest, dict):
        raise InputError(f"{path}: not the manifest of a sample folder; name another folder, or add --overwrite")
    return manifest


# Drawing


def _prepare_folder(folder: Path, manifest: dict[str, Any], names: set[str], overwrite: bool) -> None:
    """Checks that a folder holds nothing but samples of this manifest, called `names`, and writes the manifest."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file, expected a folder for samples; name another folder")
    present = visible(folder) if folder.is_dir() else []
    if overwrite:
        _remove(present)
        present = []
    found = read_manifest(folder) if present else None
    if found is not None and found != manifest:
        changes = _differences(found, manifest)
        raise InputError(f"{folder}: holds samples with other settings ({changes}); name another, or add --overwrite")
    others = [path.name for path in present if found is None or path.name not in names | {MANIFEST}]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise InputError(f"{folder}: holds other files ({others[0]}{more}); name another folder, or add --overwrite")
    if found is None:
        write_text(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.is_file() or (path.name != MANIFEST and path.suffix.lower() not in SUFFIXES):
            raise InputError(f"{path}: not an image, so --overwrite removes nothing; name another folder")
    for path in paths:
        path.unlink()


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    keys = [key for key in dict.fromkeys((*found, *wanted)) if found.get(key) != wanted.get(key)]
    return ", ".join(f"{key} is {found.get(key)}, now {wanted.get(key)}" for key in keys)


# Reading


def _files_by_class(folder: Path, class_names: Sequence[str]) -> list[list[Path]] | None:
    """The files of each class; None if the classes are not known."""
    files, folders = images_in(folder), [path for path in visible(folder) if path.is_dir()]
    if files and folders:
        raise InputError(f"{folder}: holds {folders[0].name}/ and {files[0].name}; keep only folders or only images")
    if folders:
        named = {path.name: images_in(path) for path in folders}
        _check_classes(folder, list(named), class_names)
        return [named.get(name, []) for name in class_names]
    if not files:
        raise _no_image(folder)
    stems = file_stems(class_names)
    found = [match[1] if (match := re.fullmatch(r"(.+)-\d{4,}", file.stem)) else "" for file in files]
    if not set(found) & set(stems) and not (folder / MANIFEST).is_file():
        return None
    _check_classes(folder, [stem or file.name for stem, file in zip(found, files, strict=True)], stems)
    return [[file for file, own in zip(files, found, strict=True) if own == stem] for stem in stems]


def _check_classes(folder: Path, found: Sequence[str], expected: Sequence[str]) -> None:
    unknown = [name for name in found if name not in expected]
    if unknown:
        raise InputError(
            f"{folder}: {unknown[0]!r} is not a class, expected {', '.join(expected)}; rename or remove it"
        )


def _check_complete(folder: Path, count: int) -> None:
    manifest = read_manifest(folder)
    expected = manifest.get("samples_per_class") if manifest else None
    if expected not in (None, count):
        raise InputError(f"{folder}: holds {count} of {expected} samples per class; draw the rest first")


def _no_image(folder: Path) -> InputError:
    return InputError(f"{folder}: no image that can be read in this folder; draw some, or name another")


def _read_images(files: Sequence[Path], preprocessing: Preprocessing) -> Tensor:
    """uint8 (N, C, H, W)."""
    pixels, faults = [], []
    for file in files:
        try:
            image = open_image(file)
        except InputError as error:
            faults.append(str(error))
            continue
        size, expected = (image.height, image.width), preprocessing.image_shape.size
        if size == expected:
            pixels.append(preprocessing(image))
        else:
            faults.append(f"{file}: {size[0]} x {size[1]}, expected {expected[0]} x {expected[1]}; draw at that size")
    if faults:
        raise InputError.listing(faults)
    return torch.stack(pixels)
