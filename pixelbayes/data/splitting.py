"""Cuts the splits that a source lacks from its training images, stratified by class."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from pixelbayes.data.listing import Listing
from pixelbayes.utils.randomness import permutation


def cut_missing_splits(listing: Listing, validation_fraction: float, test_fraction: float, seed: int) -> Listing:
    """Adds a validation split if it is missing, and a test split if the source has no splits at all.

    Args:
        listing: The source.
        validation_fraction: Fraction of each class, 0 to 1.
        test_fraction: Likewise.
        seed: Random seed.
    """
    fractions = {"validation": validation_fraction} | ({"test": test_fraction} if listing.undivided else {})
    fractions = {name: part for name, part in fractions.items() if part > 0 and name not in listing.splits}
    if not fractions or "train" not in listing.splits:
        return listing
    records = listing.splits["train"]
    parts = stratified([record.label for record in records], fractions, seed)
    cut = tuple(name for name in fractions if parts[name])  # a part is empty if every class has one or two images
    splits = listing.splits | {name: [records[index] for index in parts[name]] for name in ("train", *cut)}
    return replace(listing, splits=splits, cut_from_train=cut)


def stratified(labels: Sequence[int], fractions: dict[str, float], seed: int) -> dict[str, list[int]]:
    """Divides images at random, with the same fractions in each class.

    A class of n images gives round(fraction n) to each part, but at least one, and keeps one for training. A class of
    one or two images stays in training.

    Args:
        labels: The label of each image.
        fractions: Fraction of each part by name, 0 to 1.
        seed: Random seed.

    Returns:
        The indices of each part by name, and the others as "train", in increasing order.
    """
    by_class: dict[int, list[int]] = defaultdict(list)
    for index in permutation(seed, "split", 0, len(labels)).tolist():
        by_class[labels[index]].append(index)
    part_of = dict.fromkeys(range(len(labels)), "train")
    for members in by_class.values():
        left = len(members) if len(members) >= 3 else 0
        shuffled = iter(members)
        for later, (part, fraction) in zip(reversed(range(len(fractions))), fractions.items(), strict=True):
            count = max(0, min(max(1, round(fraction * len(members))), left - later - 1))  # leaves one for each other
            part_of.update(dict.fromkeys(islice(shuffled, count), part))
            left -= count
    return {part: [index for index in part_of if part_of[index] == part] for part in ("train", *fractions)}
