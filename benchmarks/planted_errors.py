"""Plants label errors and near-duplicates in a source, and measures how many of them `pixelbayes audit` finds.

python -m benchmarks.planted_errors plant digits planted/digits
pixelbayes audit planted/digits --preset digits --out runs/planted-digits
python -m benchmarks.planted_errors score planted/digits runs/planted-digits
"""

import argparse
import csv
import io
import json
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image, ImageEnhance

from pixelbayes.data import UNKNOWN_LABEL, DataConfig
from pixelbayes.data.corrected_copy import write_corrected_copy
from pixelbayes.data.listing import Record
from pixelbayes.data.loading import list_images
from pixelbayes.metrics.classification import wilson_interval

TURNED, DOUBLED = 0.05, 0.02  # shares of the labelled images
TRUTH = "planted.json"  # beside the folder


def jpeg(image: Image.Image) -> Image.Image:
    """Compressed with quality 60."""
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=60)
    return Image.open(io.BytesIO(file.getvalue()))


def brighter(image: Image.Image) -> Image.Image:
    """Brighter by a tenth."""
    return ImageEnhance.Brightness(image).enhance(1.1)


def smaller(image: Image.Image) -> Image.Image:
    """Three quarters of the size."""
    return image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)), Image.Resampling.BICUBIC)


def cropped(image: Image.Image) -> Image.Image:
    """Without a margin of 2%."""
    margin = image.width // 50, image.height // 50
    return image.crop((*margin, image.width - margin[0], image.height - margin[1]))


CHANGES = (jpeg, brighter, smaller, cropped)


def plant(source: str, folder: Path, seed: int) -> None:
    """Writes a copy of a source with 5% of its labels turned, and changed copies of 2% of its images added."""
    listing = list_images(DataConfig(source=source, validation_fraction=0, test_fraction=0))
    chance = random.Random(seed)
    keys = [
        (split, position)
        for split, records in listing.splits.items()
        for position, record in enumerate(records)
        if record.label != UNKNOWN_LABEL
    ]
    turned = {
        (split, position): chance.choice(
            [label for label in range(len(listing.class_names)) if label != listing.splits[split][position].label]
        )
        for split, position in chance.sample(keys, round(TURNED * len(keys)))
    }
    splits = {split: list(records) for split, records in listing.splits.items()}
    doubled = {}
    for number, (split, position) in enumerate(chance.sample(keys, round(DOUBLED * len(keys)))):
        original, change = listing.splits[split][position], CHANGES[number % len(CHANGES)]
        label = turned.get((split, position), original.label)
        record = Record(f"copy/{number}", label, partial(_changed, original, change))
        doubled[f"copy/{number}"] = [original.name, change.__name__]
        splits[split].append(record)
    planted = replace(listing, splits=splits)
    write_corrected_copy(planted, turned, set(), folder)
    names = {f"{split} {position}": listing.class_names[label] for (split, position), label in turned.items()}
    truth = {"source": source, "seed": seed, "turned": names, "doubled": doubled}
    folder.with_name(f"{folder.name}-{TRUTH}").write_text(json.dumps(truth, indent=2))


def _changed(original: Record, change) -> Image.Image:  # type: ignore[no-untyped-def]
    return change(original.read().convert("RGB"))


def score(folder: Path, audit: Path) -> None:
    """Prints precision and recall of the proposals, with 95% intervals."""
    truth = json.loads(folder.with_name(f"{folder.name}-{TRUTH}").read_text())
    with (folder / "labels.csv").open(newline="") as file:
        originals = {row["path"]: row["original"] for row in csv.DictReader(file)}
    with (audit / "proposals.csv").open(newline="") as file:
        proposals = list(csv.DictReader(file))
    relabelled = {f"{row['split']} {row['position']}" for row in proposals if row["action"] == "relabel"}
    removed = [(originals[row["image"]], originals[row["copy of"]]) for row in proposals if row["action"] == "remove"]
    pairs = {frozenset((copy, name)) for copy, (name, _) in truth["doubled"].items()}
    found = {frozenset(pair) for pair in removed}
    for name, hits, proposed, planted in (
        ("labels", len(relabelled & set(truth["turned"])), len(relabelled), len(truth["turned"])),
        ("near-duplicates", len(found & pairs), len(found), len(pairs)),
    ):
        print(f"{name}: {_share(hits, proposed)} of the proposals were planted, {_share(hits, planted)} of them found")
    for change in CHANGES:
        of_kind = {frozenset((c, name)) for c, (name, kind) in truth["doubled"].items() if kind == change.__name__}
        print(f"  {change.__name__}: {_share(len(of_kind & found), len(of_kind))} found")


def _share(hits: int, count: int) -> str:
    if not count:
        return "none"
    low, high = wilson_interval(hits, count)
    return f"{hits}/{count} = {hits / count:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    planting = commands.add_parser("plant")
    planting.add_argument("source")
    planting.add_argument("folder", type=Path)
    planting.add_argument("--seed", type=int, default=0)
    planting.set_defaults(run=lambda options: plant(options.source, options.folder, options.seed))
    scoring = commands.add_parser("score")
    scoring.add_argument("folder", type=Path)
    scoring.add_argument("audit", type=Path)
    scoring.set_defaults(run=lambda options: score(options.folder, options.audit))
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
