"""Counts the images of each class and split, and finds duplicates."""

import hashlib
from collections import Counter, defaultdict
from itertools import combinations
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text
from torch import Tensor

from pixelbayes.data.dataset import UNKNOWN_LABEL, ImageData, Split

MAX_CLASSES = 20  # rows of the table on the screen


def summarise(data: ImageData) -> dict[str, Any]:
    """Counts images and duplicates.

    Returns:
        Plain values for JSON. "imbalance" is the number of training images of the largest class divided by that of the
        smallest; None without training images of every class. "duplicates" are images with equal pixels after
        preprocessing: "within" counts the images that repeat an earlier image of their split, "across" the images of
        the second split that are in the first, too, and "conflicting" lists the names of equal images that have
        different labels. "left_out" is the number of files, rows or images that are not used, by reason.
    """
    splits = {name: _counts(split, data.class_names) for name, split in data.splits.items()}
    largest_first = sorted(splits.get("train", {}).get("per_class", {}).values(), reverse=True)
    shape = data.preprocessing.image_shape
    return {
        "source": data.source,
        "image_size": list(shape.size),
        "channels": shape.channels,
        "levels": shape.levels,
        "class_names": list(data.class_names),
        "cut_from_train": list(data.cut_from_train),
        "left_out": dict(data.left_out),
        "splits": splits,
        "imbalance": largest_first[0] / largest_first[-1] if largest_first and largest_first[-1] else None,
        "duplicates": _duplicates(data),
    }


def _counts(split: Split, class_names: tuple[str, ...]) -> dict[str, Any]:
    counts = Counter(split.labels.tolist())
    per_class = {name: counts[label] for label, name in enumerate(class_names)}
    return {"images": len(split), "per_class": per_class, "unlabelled": counts[UNKNOWN_LABEL]}


def _duplicates(data: ImageData) -> dict[str, Any]:
    digests = {name: [_digest(image) for image in split.pixels] for name, split in data.splits.items()}
    distinct = {name: set(values) for name, values in digests.items()}
    groups: dict[bytes, list[tuple[str, int]]] = defaultdict(list)  # digest -> (split and name, label)
    for name, split in data.splits.items():
        for digest, image, label in zip(digests[name], split.names, split.labels.tolist(), strict=True):
            groups[digest].append((f"{name}: {image}", label))
    return {
        "within": {name: len(values) - len(distinct[name]) for name, values in digests.items()},
        "across": {
            f"{first}/{second}": sum(digest in distinct[first] for digest in digests[second])
            for first, second in combinations(digests, 2)
        },
        "conflicting": [
            [image for image, _ in group]
            for group in groups.values()
            if len({label for _, label in group} - {UNKNOWN_LABEL}) > 1
        ],
    }


def _digest(image: Tensor) -> bytes:
    return hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest()


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """The facts to check before training, one per line."""
    height, width = summary["image_size"]
    duplicates = summary["duplicates"]
    colour = "grey" if summary["channels"] == 1 else "RGB"
    lines = [f"{height}x{width}, {colour}, {summary['levels']} levels"]
    if summary["cut_from_train"]:
        lines.append(f"{' and '.join(summary['cut_from_train'])} cut from train, stratified by class")
    if small := _classes_only_in_train(summary):
        lines.append(f"with one or two images, only in train: {_few(small)}")
    if summary["imbalance"] is not None:
        lines.append(f"largest class of train / smallest class: {summary['imbalance']:.2f}")
    lines += [f"duplicates within {name}: {count}" for name, count in duplicates["within"].items() if count]
    for pair, count in duplicates["across"].items():
        if count:
            first, second = pair.split("/")
            lines.append(f"images of {second} that are also in {first}: {count}")
    lines += [f"same pixels, different labels: {', '.join(group)}" for group in duplicates["conflicting"][:5]]
    if left_out := [f"{count} x {reason}" for reason, count in summary["left_out"].items()]:
        lines.append(f"not used: {_few(left_out)}")
    return lines


def _classes_only_in_train(summary: dict[str, Any]) -> list[str]:
    """The classes of which no image could be cut from train, because they have too few."""
    splits, cut = summary["splits"], summary["cut_from_train"]
    return [
        name
        for name in summary["class_names"]
        if cut and splits["train"]["per_class"][name] and not any(splits[part]["per_class"][name] for part in cut)
    ]


def _few(texts: list[str]) -> str:
    return ", ".join(texts[:8]) + (f" and {len(texts) - 8} more" if len(texts) > 8 else "")


def summary_table(summary: dict[str, Any]) -> Group:
    """The number of images of each class and split, with `summary_lines` below."""
    splits = summary["splits"]
    table = Table("class", title=Text(summary["source"], style="table.title"))
    for name in splits:
        table.add_column(name, justify="right")
    for name in summary["class_names"][:MAX_CLASSES]:
        table.add_row(Text(name), *(str(split["per_class"][name]) for split in splits.values()))
    if len(summary["class_names"]) > MAX_CLASSES:
        table.add_row(f"... and {len(summary['class_names']) - MAX_CLASSES} more", *("" for _ in splits))
    if any(split["unlabelled"] for split in splits.values()):
        table.add_row("unlabelled", *(str(split["unlabelled"]) for split in splits.values()))
    table.add_section()
    table.add_row("all", *(str(split["images"]) for split in splits.values()))
    return Group(table, Text("\n".join(summary_lines(summary)), style="table.caption"))
