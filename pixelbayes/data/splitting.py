"""A validation or test split for a source that has none, cut from its training images."""

from collections import defaultdict
from dataclasses import replace
from itertools import islice

from pixelbayes.data.listing import Listing, Record
from pixelbayes.utils.randomness import permutation


def cut_missing_splits(listing: Listing, validation_fraction: float, test_fraction: float, seed: int) -> Listing:
    """Adds the validation split where it is missing, and the test split where the source is one undivided pool."""
    fractions = {"validation": validation_fraction} | ({"test": test_fraction} if listing.undivided else {})
    fractions = {name: part for name, part in fractions.items() if part > 0 and name not in listing.splits}
    if not fractions or "train" not in listing.splits:
        return listing
    parts = stratified(listing.splits["train"], fractions, seed)
    cut = tuple(name for name in fractions if parts[name])  # from classes of one or two images nothing is cut
    splits = listing.splits | {name: parts[name] for name in ("train", *cut)}
    return replace(listing, splits=splits, cut_from_train=cut)


def stratified(records: list[Record], fractions: dict[str, float], seed: int) -> dict[str, list[Record]]:
    """Cuts the fraction of each class for each named part, and leaves the rest under "train"; order is kept.

    A class of n gives round(fraction n) images, at least one where n >= 3, none where n < 3: training needs it more.
    """
    by_class: dict[int, list[int]] = defaultdict(list)
    for index in permutation(seed, "split", 0, len(records)).tolist():
        by_class[records[index].label].append(index)
    part_of = dict.fromkeys(range(len(records)), "train")
    for members in by_class.values():
        shuffled = iter(members)
        for part, fraction in fractions.items():
            count = max(1, round(fraction * len(members))) if len(members) >= 3 else 0
            part_of.update(dict.fromkeys(islice(shuffled, count), part))
    return {part: [records[i] for i in part_of if part_of[i] == part] for part in ("train", *fractions)}
