"""Reads the images of a listing, several at a time, into uint8 tensors of one shape."""

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
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import track

LARGE = 300 * 300  # pixels a picture, from which on threads pay; with smaller ones they only queue for Python's lock


class _Seen(NamedTuple):
    """What was met in reading one record."""

    fault: str | None = None
    size: tuple[int, int] | None = None  # H, W
    grey: bool = True


def decode(
    listing: Listing, *, image_size: tuple[int, int] | None, channels: int | None, resize: Resize, levels: int
) -> tuple[dict[str, Split], Preprocessing]:
    """Every split of a listing, and the preprocessing it had.

    Args:
        listing: Where the images are.
        image_size: H, W; None is the size they all have.
        channels: C; None is 1 if all are grey, else 3.
        resize: As in `Preprocessing`.
        levels: As in `Preprocessing`.

    Raises:
        InputError: Every fault of the listing and of its images, a line each.
    """
    records = [record for split in listing.splits.values() for record in split]
    first_size = _first_size(records)
    preprocessing = Preprocessing(
        image_size=image_size or first_size, channels=channels or 3, levels=levels, resize=resize
    )
    pixels = torch.empty(len(records), preprocessing.channels, *preprocessing.image_size, dtype=torch.uint8)

    def read(index: int) -> _Seen:
        try:
            image = records[index].read()
        except InputError as error:
            return _Seen(fault=str(error))
        size = (image.height, image.width)
        if image_size or size == preprocessing.image_size:
            pixels[index] = preprocessing(image)
        return _Seen(size=size, grey=image.mode == "L")

    workers = min(8, os.cpu_count() or 1) if math.prod(first_size) >= LARGE else 1
    with ThreadPoolExecutor(workers) as pool:
        seen = list(track(pool.map(read, range(len(records))), "Reading images", total=len(records)))
    faults = listing.faults + [one.fault for one in seen if one.fault]
    sizes = Counter(one.size for one in seen if one.size)
    if image_size is None and len(sizes) > 1:
        faults.append(_unequal(sizes))
    if faults:
        raise InputError.listing(faults)
    if channels is None and all(one.grey for one in seen):
        preprocessing = replace(preprocessing, channels=1)
        pixels = pixels[:, :1].contiguous()  # grey as RGB is the same plane three times
    return _divide(listing, pixels), preprocessing


def _first_size(records: list[Record]) -> tuple[int, int]:
    for record in records:
        try:
            image = record.read()
        except InputError:
            continue
        return image.height, image.width
    return 1, 1  # nothing can be read: the faults will say so


def _unequal(sizes: "Counter[tuple[int, int]]") -> str:
    common = ", ".join(f"{height}x{width} ({count})" for (height, width), count in sizes.most_common(4))
    more = f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
    return f"unequal image sizes, height x width (images): {common}{more}; choose one with --data.image_size '[32, 32]'"


def _divide(listing: Listing, pixels: Tensor) -> dict[str, Split]:
    lengths = [len(records) for records in listing.splits.values()]
    return {
        name: Split(
            pixels=part,
            labels=torch.tensor([record.label for record in records], dtype=torch.int64),
            names=tuple(record.name for record in records),
        )
        for (name, records), part in zip(listing.splits.items(), pixels.split(lengths), strict=True)
    }
