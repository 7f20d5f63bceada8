"""Reads images in any form that people have: files, PIL images, uint8 arrays and tensors."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from pixelbayes.images.datasets import AnyDataset, item_image, length
from pixelbayes.images.pixels import FROM_FLOATS, requantise
from pixelbayes.images.preprocessing import Preprocessing, open_image, plain_image
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import is_system_file

AnyImage: TypeAlias = "str | Path | Image.Image | np.ndarray[Any, Any] | Tensor"
"""One image: a file, a PIL image, a uint8 array (H, W) or (H, W, C), or a uint8 tensor (H, W) or (C, H, W); C is 1, 3
or, with transparency, 4."""

AnyImages: TypeAlias = "AnyImage | Iterable[AnyImage] | AnyDataset"
"""One image or several: also a folder with all folders in it, a uint8 array (N, H, W) or (N, H, W, C), a uint8 tensor
(N, C, H, W), or a PyTorch data set of images, or of pairs of an image and a label."""

CHANNELS = (1, 3, 4)
EXPECTED = (
    "expected a path, a PIL image, a uint8 array (N, H, W) or (N, H, W, C), a uint8 tensor (N, C, H, W), or a list"
)


def read_images(images: AnyImages, preprocessing: Preprocessing) -> tuple[Tensor, tuple[str, ...]]:
    """The pixels of images in any form, as a network takes them.

    Files and PIL images are resized, as in training. So are arrays and tensors of another size, whose values are 8-bit.
    Arrays and tensors of the network's own height and width hold its levels, as samples do; for a network with 256
    levels these are the 8-bit values too.

    Args:
        images: The images; a folder stands for the files in it and in its folders, apart from hidden and system files.
        preprocessing: That of the network.

    Returns:
        uint8 (N, C, H, W), values 0 .. levels-1; and the name of each image: its file, or "image 0" and so on.

    Raises:
        InputError: If there is no image, or some cannot be read; the message has one line per fault.
    """
    shape = preprocessing.image_shape
    if isinstance(images, np.ndarray) and images.shape[1:] == shape.size and shape.width in CHANNELS:
        raise InputError(
            f"images of shape {images.shape} may be (N, H, W) or (H, W, C); x[..., None] makes it (N, H, W, C), "
            "x[None] makes it of one image"
        )
    pixels, names, faults = [], [], []
    for name, image in list_images(images):
        try:
            pixels.append(preprocessing(as_image(image, name, levels=shape.levels, size=shape.size)))
            names.append(name)
        except InputError as error:
            faults.append(str(error))
    if faults or not pixels:
        listed = images if isinstance(images, list | tuple) else [images]
        folders = [str(each) for each in listed if isinstance(each, str | Path)]
        where = f"{', '.join(folders)}: no image" if folders else "there is no image"
        raise InputError.listing(faults or [f"{where}; give image files, PIL images, arrays or tensors"])
    return torch.stack(pixels), tuple(names)


def list_images(images: AnyImages) -> list[tuple[str, "AnyImage | partial[AnyImage]"]]:
    """The single images, with a name for each; folders are listed, and no file is opened.

    Raises:
        InputError: If arrays or tensors have another type or shape, so that it is not clear what an image is.
    """
    if isinstance(images, Dataset):
        return [(f"item {index}", partial(item_image, images, index)) for index in range(length(images))]
    if hasattr(images, "__array__") and not isinstance(images, Tensor | Image.Image):  # such as a column of paths
        images = np.asarray(images)
    if isinstance(images, np.ndarray) and images.dtype.kind in "OUST":  # paths, or images of several sizes
        images = images.tolist()
    if isinstance(images, Tensor):
        if images.ndim != 4:
            raise InputError(
                f"images have shape {tuple(images.shape)}, expected a tensor (N, C, H, W); x[None] makes it of one "
                "image (C, H, W), x[:, None] of grey images (N, H, W)"
            )
        images = images.detach().cpu().movedim(1, -1).numpy()
    if isinstance(images, np.ndarray):
        _check_type(images)
        if images.ndim not in (3, 4):
            raise InputError(
                f"images have shape {images.shape}, expected an array (H, W, C), (N, H, W) or (N, H, W, C); x[None] "
                "makes it of one grey image (H, W), x.reshape(-1, H, W, C) of flattened images"
            )
        is_single = images.ndim == 3 and images.shape[2] in CHANNELS
        images = [images] if is_single else list(images)
    elif isinstance(images, str | Path | Image.Image):
        images = [images]
    elif not isinstance(images, Iterable) or isinstance(images, Mapping | bytes):
        raise InputError(f"images are a {type(images).__name__}, {EXPECTED}")
    listed: list[tuple[str, AnyImage | partial[AnyImage]]] = []
    for number, image in enumerate(images):
        if isinstance(image, str | Path):
            path = Path(image)
            listed += [(str(file), file) for file in (_files_in(path) if path.is_dir() else [path])]
        else:
            listed.append((f"image {number}", image))
    return listed


def _files_in(folder: Path, around: tuple[Path, ...] = ()) -> list[Path]:
    """The files in a folder and in its folders, in alphabetical order, apart from hidden and system files.

    Raises:
        InputError: If a folder cannot be opened, or is a link to a folder around it.
    """
    around = (*around, folder.resolve())
    if around[-1] in around[:-1]:
        raise InputError(f"{folder}: a link to a folder around it; remove it")
    try:
        entries = sorted(path for path in folder.iterdir() if not is_system_file(path.name))
    except OSError as error:
        raise InputError(f"{folder}: cannot be opened ({error.strerror}); correct its permissions") from None
    return [file for path in entries for file in (_files_in(path, around) if path.is_dir() else [path])]


def as_image(
    image: "AnyImage | partial[AnyImage]", name: str, *, levels: int, size: tuple[int, int] | None
) -> Image.Image:
    """Decodes a single image to 8 bits per channel, "L" or "RGB".

    Args:
        image: The image, or what returns it.
        name: Its name in messages.
        levels: The number of values that a colour takes in an array or tensor of `size`; elsewhere it is 256.
        size: H, W; None for any.

    Raises:
        InputError: If it cannot be read; the message is one line with the remedy.
    """
    if isinstance(image, partial):
        image = image()
    if isinstance(image, str | Path):
        return open_image(image, name)
    if isinstance(image, Tensor):
        array = image.detach().cpu().numpy()
        image = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    try:
        if isinstance(image, np.ndarray):
            return plain_image(Image.fromarray(_eight_bits(image, levels, size)))
        if isinstance(image, Image.Image):
            return plain_image(image)
    except (InputError, OSError) as error:  # OSError: the file of a PIL image is damaged or closed
        raise InputError(f"{name}: {error}") from None
    raise InputError(f"{name} is a {type(image).__name__}, {EXPECTED}")


def _eight_bits(array: "np.ndarray[Any, Any]", levels: int, size: tuple[int, int] | None) -> "np.ndarray[Any, Any]":
    """One image as Pillow takes it, (H, W) or (H, W, C), with values 0 .. 255."""
    _check_type(array)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in CHANNELS) or not array.size:
        raise InputError(
            f"has shape {array.shape}, expected (H, W) or (H, W, C) with C 1, 3 or 4, or a tensor (C, H, W)"
        )
    array = array[:, :, 0] if array.shape[2:] == (1,) else array
    largest = int(array.max())
    if size is None or array.shape[:2] == size:
        if largest >= levels:
            raise InputError(
                f"has the value {largest}, but at this size the values are levels 0 .. {levels - 1}; "
                f"`requantise(images, 256, {levels})` makes them of 8-bit values"
            )
        return requantise(torch.from_numpy(array), levels, 256).numpy()
    if 0 < largest < levels < 256:
        raise InputError(
            f"is not of the network's size, so its values must be 8-bit, but none is above {largest}; "
            f"`requantise(images, {levels}, 256)` makes them of levels 0 .. {levels - 1}"
        )
    return array


def _check_type(array: "np.ndarray[Any, Any]") -> None:
    if array.dtype != np.uint8:
        remedy = FROM_FLOATS if array.dtype.kind == "f" else "`.astype('uint8')` converts values 0 .. 255"
        raise InputError(f"images are {array.dtype}, expected uint8; {remedy}")
