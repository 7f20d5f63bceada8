"""The sets that newcomers bring go from file to report in one command. Each is made without the package's own code."""

import csv
import gzip
import io
import json
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image
from runs import TINY

from pixelbayes.cli import main


def picture(label, number, size=(16, 12)):
    """Noise around a grey that depends on the class, RGB."""
    noise = np.random.default_rng(100 * label + number).integers(0, 80, (*size, 3), dtype=np.uint8)
    return Image.fromarray(noise + np.uint8(120 * label))


def grey(count, size=(28, 28)):
    return np.random.default_rng(count).integers(0, 256, (count, *size), dtype=np.uint8)


def phone(place):
    """A folder for each class, of HEIC and TIFF images; some stand on their side and say so."""
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    turned = Image.Exif()
    turned[274] = 6
    for label, name in enumerate(("Küche", "garden 2")):
        (place / "DCIM" / name).mkdir(parents=True)
        for number in range(12):
            image, path = picture(label, number, (96, 64)), place / "DCIM" / name / f"IMG_{number:04}"
            if number % 2:
                heif.from_pillow(image).save(path.with_suffix(".HEIC"))
            else:
                image.save(path.with_suffix(".TIF"), exif=turned)
    return place / "DCIM", {"train": [8, 8], "validation": [2, 2], "test": [2, 2]}, ["Küche", "garden 2"]


def kaggle(place):
    """Tables of ids that lack a suffix, those of test without labels, their images, and the form of a submission."""
    for folder, numbers in (("train", range(24)), ("test", range(24, 28))):
        (place / folder).mkdir()
        for number in numbers:
            picture(number % 2, number).save(place / folder / f"{number}.jpg")
    for name, header, rows in (
        ("train.csv", ("id", "breed"), [(number, ("boxer", "pug")[number % 2]) for number in range(24)]),
        ("test.csv", ("id",), [(number,) for number in range(24, 28)]),
        ("sample_submission.csv", ("id", "boxer", "pug"), [(number, 0.5, 0.5) for number in range(24, 28)]),
    ):
        with (place / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    return place, {"train": [10, 10], "validation": [2, 2], "test": [0, 0]}, ["boxer", "pug"]


def medmnist(place):
    """One npz file with arrays for each split; labels are (N, 1)."""
    counts = {"train": 16, "val": 4, "test": 4}
    arrays = {f"{split}_images": grey(count) for split, count in counts.items()}
    labels = {f"{split}_labels": np.arange(count, dtype=np.uint8)[:, None] % 2 for split, count in counts.items()}
    np.savez_compressed(place / "pneumoniamnist.npz", **arrays, **labels)
    return place / "pneumoniamnist.npz", {"train": [8, 8], "validation": [2, 2], "test": [2, 2]}, ["0", "1"]


def mnist(place):
    """Images and labels of each split in an idx file, compressed."""
    for split, count in (("train", 20), ("t10k", 4)):
        images = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28) + grey(count).tobytes()
        labels = struct.pack(">4BI", 0, 0, 8, 1, count) + bytes(number % 2 + 7 for number in range(count))
        (place / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (place / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return place, {"train": [8, 8], "validation": [2, 2], "test": [2, 2]}, ["7", "8"]


def cifar(place):
    """The binary version of CIFAR-10: a byte for the label before 3072 of each image, red, green and blue."""
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        images = [bytes([number % 2]) + picture(number % 2, number, (32, 32)).tobytes() for number in range(4)]
        (place / f"{name}.bin").write_bytes(b"".join(images))
    (place / "batches.meta.txt").write_text("airplane\nautomobile\n\n")
    (place / "readme.html").write_text("<html>")
    return place, {"train": [8, 8], "validation": [2, 2], "test": [2, 2]}, ["airplane", "automobile"]


def zipped(place):
    """A zip archive of a folder of class folders of PNG images."""
    with zipfile.ZipFile(place / "pets.zip", "w") as archive:
        for label, name in enumerate(("cat", "dog")):
            for number in range(12):
                content = io.BytesIO()
                picture(label, number).save(content, "PNG")
                archive.writestr(f"pets/{name}/{number}.png", content.getvalue())
    return place / "pets.zip", {"train": [8, 8], "validation": [2, 2], "test": [2, 2]}, ["cat", "dog"]


@pytest.mark.usefixtures("without_plots")
@pytest.mark.slow
@pytest.mark.parametrize("make", [phone, kaggle, medmnist, mnist, cifar, zipped])
def test_a_set_goes_from_its_files_to_a_report_in_one_command(make, tmp_path):
    (tmp_path / "set").mkdir()
    place, counts, class_names = make(tmp_path / "set")
    run = tmp_path / "run"
    options = [*TINY.split(), "--image-size", "8", "6", "--epochs", "1"]
    assert main(["train", "--data", str(place), "--out", str(run), *options]) == 0
    assert "</html>" in (run / "index.html").read_text()
    data = json.loads((run / "data.json").read_text())
    assert data["class_names"] == class_names
    assert {name: list(split["per_class"].values()) for name, split in data["splits"].items()} == counts
    assert sum(split["unlabelled"] for split in data["splits"].values()) == (4 if make is kaggle else 0)
