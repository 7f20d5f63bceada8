"""Decodes the images of a listing into uint8 tensors of one shape."""

import math
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from pixelbayes.data.dataset import Split
from pixelbayes.data.listing import Listing, Record
from pixelbayes.images.preprocessing import Preprocessing, Resize
from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.memory import check_memory
from pixelbayes.utils.progress import track

MIN_PIXELS_FOR_THREADS = 300 * 300  # with smaller images, threads only wait for Python's global lock


class _Decoded(NamedTuple):
    """What decoding one record found out."""

    fault: str | None = None
    size: tuple[int, int] | None = None  # H, W
    is_grey: bool = True


def decode(
    listing: Listing, *, image_size: tuple[int, int] | None, channels: int | None, resize: Resize, levels: int
) -> tuple[dict[str, Split], Preprocessing]:
    """Decodes every image of a listing.

    Args:
        listing: The source.
        image_size: H, W; None for the common size of the images.
        channels: C; None for 1 if all images are grey, otherwise 3.
        resize: As in `Preprocessing`.
        levels: L, number of values a colour can take.

    Returns:
        The splits by name, and the preprocessing of their images.

    Raises:
        InputError: If the listing or an image has a fault; the message has one line per fault. Or if the images do not
            fit into memory.
    """
    records = [record for split in listing.splits.values() for record in split]
    first_size = _first_size(records)
    height, width = image_size or first_size
    preprocessing = Preprocessing(
        image_shape=ImageShape(height=height, width=width, channels=channels or 3, levels=levels), resize=resize
    )
    check_memory(
        len(records) * preprocessing.image_shape.dims,
        f"{len(records):,} images of {height} x {width} pixels",
        "give a smaller --image-size, or fewer images",
    )
    pixels = torch.empty(len(records), *preprocessing.image_shape.chw, dtype=torch.uint8)

    def read(index: int) -> _Decoded:
        try:
            image = records[index].read()
        except InputError as error:
            return _Decoded(fault=str(error))
        size = (image.height, image.width)
        if image_size or size == preprocessing.image_shape.size:
            pixels[index] = preprocessing(image)
        return _Decoded(size=size, is_grey=image.mode == "L")

    workers = min(8, os.cpu_count() or 1) if math.prod(first_size) >= MIN_PIXELS_FOR_THREADS else 1
    with ThreadPoolExecutor(workers) as pool:
        results = (map if workers == 1 else pool.map)(read, range(len(records)))
        decoded = list(track(results, "Reading images", total=len(records)))
    faults = listing.faults + [one.fault for one in decoded if one.fault]
    sizes = Counter(one.size for one in decoded if one.size)
    if image_size is None and len(sizes) > 1:
        faults.append(_unequal_sizes(sizes))
    if faults:
        raise InputError.listing(faults)
    if channels is None and all(one.is_grey for one in decoded):
        preprocessing = replace(preprocessing, image_shape=replace(preprocessing.image_shape, channels=1))
        pixels = pixels[:, :1].contiguous()  # the three planes of a grey image are equal
    return _divide(listing, pixels), preprocessing


def _first_size(records: list[Record]) -> tuple[int, int]:
    """The size of the first image that can be decoded; 1 x 1 if there is none, which is a fault anyway."""
    for record in records:
        try:
            image = record.read()
        except InputError:
            continue
        return image.height, image.width
    return 1, 1


def _unequal_sizes(sizes: "Counter[tuple[int, int]]") -> str:
    common = ", ".join(f"{height}x{width} ({count})" for (height, width), count in sizes.most_common(4))
    more = f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
    return f"unequal image sizes, height x width (images): {common}{more}; choose one, such as --image-size 32 32"


def _divide(listing: Listing, pixels: Tensor) -> dict[str, Split]:
    """The splits of a listing, given the pixels of all its records in order."""
    lengths = [len(records) for records in listing.splits.values()]
    return {
        name: Split(
            pixels=part,
            labels=torch.tensor([record.label for record in records], dtype=torch.int64),
            names=tuple(record.name for record in records),
        )
        for (name, records), part in zip(listing.splits.items(), torch.split(pixels, lengths), strict=True)
    }
