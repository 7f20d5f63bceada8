"""Samples from a folder of image files, ours or made by others."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pixelbayes.data.folder import SUFFIXES, images_in, visible
from pixelbayes.errors import InputError
from pixelbayes.evaluation.generation.drawing import MANIFEST, read_manifest
from pixelbayes.evaluation.generation.naming import file_stems
from pixelbayes.images import Preprocessing, open_image


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
