"""Invalid input: every fault gives exit status 2 and one line that names the file or field and the remedy."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import safetensors.torch
import torch
from PIL import Image

from pixelbayes import experiments
from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.cli import main
from pixelbayes.inference import SamplingConfig


class Case(NamedTuple):
    """One kind of invalid input.

    The working folder holds `photos/`, a folder of images; `run/`, a run on these images; and `classifier/`, a
    dedicated classifier of them. There is no `new`.
    """

    name: str
    command: str
    messages: str | tuple[str, ...]  # a part of each line, in order
    prepare: Callable[[], object] = lambda: None  # makes the input invalid


def write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")


def table(rows):
    """A csv table of two valid rows and `rows`, beside the images."""
    write("photos/train.csv", f"train/cat/00.png,cat\ntrain/dog/00.png,dog\n{rows}")
    write("photos/validation.csv", "train/cat/01.png,cat\n")


def config(text):
    write("wrong.yaml", text)


def truncate_weights(size):
    write("cut.safetensors", Path("run/best.safetensors").read_bytes()[:size])


def samples(count=2, **settings):
    """Draws the samples of an evaluation of the run, with these settings."""
    folder = Path("run/evaluation/photos-validation/samples")
    experiments.draw(checkpoint.load("run"), folder, SamplingConfig(count=count, **settings))
    return folder


def import_network():
    trained = checkpoint.load("run")
    checkpoint.save(replace(trained, provenance=Provenance(imported_from="course.pth")), "imported.safetensors")


def several_faults():
    write("photos/train/cat/00.png", b"")
    write("photos/train/dog/03.png", b"words")
    write("photos/validation/wolf/00.png", b"")


TRAIN = "train --out new --device cpu"
FILES = [
    Case(
        "a truncated image",
        f"{TRAIN} --data photos",
        "photos/train/owl/02.png: cannot be decoded (",
        lambda: write("photos/train/owl/02.png", Path("photos/train/owl/02.png").read_bytes()[:60]),
    ),
    Case(
        "a file that is not an image",
        f"{TRAIN} --data photos",
        "photos/train/owl/02.png: not one of PNG, JPEG, WEBP, BMP, GIF, TIFF, PPM",
        lambda: write("photos/train/owl/02.png", b"words"),
    ),
    Case(
        "an empty image file",
        f"{TRAIN} --data photos",
        "photos/train/cat/00.png: the file is empty; replace it or remove it",
        lambda: write("photos/train/cat/00.png", b""),
    ),
    Case(
        "several faults at once",
        f"{TRAIN} --data photos --class-names cat dog owl",
        (
            "photos/validation/wolf: class 'wolf' is not among cat, dog, owl",
            "photos/train/cat/00.png: the file is empty",
            "photos/train/dog/03.png: not one of PNG",
        ),
        several_faults,
    ),
    Case("a folder without images", f"{TRAIN} --data bare", "bare: no images found", lambda: Path("bare").mkdir()),
    Case(
        "an image outside the class folders",
        f"{TRAIN} --data photos",
        "photos/train/stray.png: not in a class folder; move it into one",
        lambda: shutil.copy("photos/train/cat/00.png", "photos/train/stray.png"),
    ),
    Case(
        "a class without images",
        f"{TRAIN} --data photos",
        "photos/train/bird: no image in this class folder that can be read; add some or remove it",
        lambda: Path("photos/train/bird").mkdir(),
    ),
    Case(
        "images of different sizes",
        f"{TRAIN} --data photos",
        "unequal image sizes, height x width (images): 6x8 (60), 9x7 (1); choose one, such as --image-size 32 32",
        lambda: Image.new("RGB", (7, 9)).save("photos/train/cat/large.png"),
    ),
    Case(
        "an unknown source",
        f"{TRAIN} --data fotos",
        "data source 'fotos' is neither a folder, an npz file, a zip or tar archive nor one of digits, folder:..., csv",
    ),
    Case(
        "a missing split",
        f"{TRAIN} --data photos --validation-fraction 0",
        "photos has no 'validation' split, only train, test; add it or name another",
        lambda: shutil.rmtree("photos/validation"),
    ),
]
CSV = [
    Case(
        "a csv source without a table",
        f"{TRAIN} --data csv:photos",
        "photos: no train.csv here; write one with path,label rows or correct --data",
    ),
    Case(
        "an unknown label",
        f"{TRAIN} --data csv:photos --class-names cat dog",
        "train.csv row 3: class 'dgo' is not among cat, dog",
        lambda: table("train/dog/01.png,dgo\n"),
    ),
    Case(
        "a row without a file",
        f"{TRAIN} --data csv:photos",
        "train.csv row 3: train/dog/99.png: no such file; correct the path or remove the entry",
        lambda: table("train/dog/99.png,dog\n"),
    ),
    Case(
        "too many columns",
        f"{TRAIN} --data csv:photos",
        "train.csv row 3: 3 columns instead of path,label; quote a path with a comma",
        lambda: table("train/dog/01.png,dog,1\n"),
    ),
]
CONFIG = [
    Case("a missing config", f"{TRAIN} --config none.yaml", "none.yaml: cannot be read (No such file"),
    Case(
        "a config that is not YAML",
        f"{TRAIN} --config wrong.yaml",
        "wrong.yaml: line 2: not YAML (",
        lambda: config("training: [1,\n"),
    ),
    Case(
        "a config without fields",
        f"{TRAIN} --config wrong.yaml",
        "wrong.yaml: expected fields and values; --print-config shows the form",
        lambda: config("- epochs\n"),
    ),
    Case(
        "unknown fields",
        f"{TRAIN} --config wrong.yaml",
        (
            "wrong.yaml: unknown field training.epohcs; did you mean training.epochs?",
            "wrong.yaml: unknown field n_resent; --help lists all of them",
        ),
        lambda: config("training:\n  epohcs: 3\nn_resent: 5\n"),
    ),
    Case(
        "class names that are not text in YAML",
        f"{TRAIN} --config wrong.yaml",
        (
            "wrong.yaml: data.class_names holds True, which is not text in YAML; put quotes around what you wrote",
            "wrong.yaml: data.class_names holds 3, which is not text in YAML",
        ),
        lambda: config("data: {class_names: [yes, cat, 3]}\n"),
    ),
    Case(
        "a field of another type",
        f"{TRAIN} --config wrong.yaml",
        "training.epochs is 'many', expected a whole number",
        lambda: config("training:\n  epochs: many\n"),
    ),
    Case(
        "a field that is null",
        f"{TRAIN} --config wrong.yaml",
        "wrong.yaml: model.dropout is null, expected a number",
        lambda: config("model:\n  dropout:\n"),
    ),
    Case(
        "a value instead of a group of fields",
        f"{TRAIN} --config wrong.yaml",
        "wrong.yaml: model is 'film', expected a group of fields",
        lambda: config("model: film\n"),
    ),
]
ARGUMENTS = [
    Case("an unknown command", "trian --out new", "unknown command 'trian'; did you mean train?"),
    Case("an unknown option", f"{TRAIN} --epohcs 3", "unknown option --epohcs; did you mean --epochs?"),
    Case("a superfluous word", f"{TRAIN} photos", "unrecognized arguments: photos; see `pixelbayes train --help`"),
    Case("an option without its value", f"{TRAIN} --config", "argument --config: expected one argument"),
    Case("a value of another type", f"{TRAIN} --epochs 1.5", "training.epochs is '1.5', expected a whole number"),
    Case(
        "a value out of range", f"{TRAIN} --dropout 1", "dropout is 1.0, expected a probability of at least 0 and below"
    ),
    Case("no epochs", f"{TRAIN} --epochs 0", "epochs is 0, expected at least 1"),
    Case(
        "a moving average that never changes",
        f"{TRAIN} --ema-decay 1",
        "ema_decay is 1.0, expected at least 0 and below 1",
    ),
    Case(
        "a weight decay that adam does not have",
        f"{TRAIN} --optimizer adam --weight-decay 0.1",
        "weight_decay is 0.1, expected 0 with optimizer adam; use optimizer adamw",
    ),
    Case(
        "an image size of one number",
        f"{TRAIN} --image-size 32",
        "data.image_size is '32', expected [a whole number, a whole number] or null",
    ),
    Case(
        "a value that is not one of the choices",
        f"{TRAIN} --schedule linear",
        "training.schedule is 'linear', expected exponential or cosine or constant",
    ),
    Case("an unknown fusion", f"{TRAIN} --fusion flim", "fusion is 'flim'; did you mean film?"),
    Case(
        "an unknown preset",
        f"{TRAIN} --preset digit",
        "argument --preset: invalid choice: 'digit' (choose from 'best', 'maximum-likelihood', 'digits'",
    ),
    Case("an unknown device", f"{TRAIN} --data photos --device tpu", "device is 'tpu', expected auto, cuda, mps, cpu"),
    Case(
        "a device that is not available",
        f"{TRAIN} --data photos --device mps",
        "device mps is not available here; choose another or install a PyTorch built for it",
    ),
    Case(
        "an unknown class",
        "sample run --label wolf --out new",
        "class 'wolf' is unknown; this network knows: cat, dog, owl",
    ),
    Case("no images to draw", "sample run --num-samples 0 --out new", "num-samples is 0, expected at least 1"),
    Case(
        "a number of images that is not a number",
        "sample run --num-samples few --out new",
        "num-samples is 'few', expected a whole number",
    ),
    Case(
        "an image to complete without a number of rows",
        "sample run --complete x.png --out new",
        "--complete IMAGE needs one of --keep-rows N and --keep-pixels N, and they need it",
    ),
    Case(
        "a number of rows without an image to complete",
        "sample run --keep-rows 2 --out new",
        "--complete IMAGE needs one of --keep-rows N and --keep-pixels N, and they need it",
    ),
    Case(
        "more rows to keep than the image has",
        "sample run --complete photos/train/cat/00.png --keep-rows 7 --out new",
        "keep-rows is 7, expected 0 to 6, because the network's images are 6 x 8",
    ),
    Case(
        "a negative number of pixels to keep",
        "sample run --complete photos/train/cat/00.png --keep-pixels -1 --out new",
        "keep-pixels is -1, expected 0 to 48, because the network's images are 6 x 8",
    ),
    Case(
        "a temperature of 0",
        "sample run --temperature 0 --out new",
        "temperature is 0.0, expected a number above 0",
    ),
    Case(
        "an evaluation without data",
        "evaluate run --json new",
        "the following arguments are required: --data; see `pixelbayes evaluate --help`",
    ),
    Case(
        "an unknown split",
        "evaluate run --data photos --split tset --json new",
        "photos has no 'tset' split, only train, validation, test; add it or name another",
    ),
    Case(
        "no image to classify",
        "classify run empty --out new",
        "empty: no image; give image files",
        lambda: Path("empty").mkdir(),
    ),
    Case(
        "images that cannot be read",
        "classify run none.png words.png photos/test/cat/00.png --out new",
        ("none.png: no such file; correct the path", "words.png: not one of PNG, JPEG"),
        lambda: write("words.png", b"words"),
    ),
    Case(
        "a network that no memory holds",
        f"{TRAIN} --data photos --num-filters 1000000",
        "a network of 556,000,412,030,823 parameters and a batch of 32 images take at least 8,285,234.9 GiB of memory",
    ),
    Case(
        "more weights than can be counted",
        f"{TRAIN} --data photos --num-filters 10000000000",
        "GiB; make the network, the images or batch_size smaller",
    ),
    Case(
        "more blocks than can be built",
        f"{TRAIN} --data photos --num-blocks 1000000000",
        " and a batch of 32 images take at least ",
    ),
    Case(
        "a classifier that no memory holds",
        "baseline --out new --device cpu --data photos --model.blocks 1000000000 1 1",
        "a network of 18,560,000,288,803 parameters and a batch of 36 images take at least 276,565.6 GiB of memory",
    ),
    Case(
        "images that no memory holds",
        f"{TRAIN} --data photos --image-size 100000 100000",
        "60 images of 100000 x 100000 pixels take at least 1,676.4 GiB of memory, but this machine has ",
    ),
    Case(
        "samples that no memory holds",
        "sample run --out new --num-samples 10000000000",
        "30,000,000,000 samples of 6 x 8 pixels take at least 4,470.3 GiB of memory",
    ),
    Case(
        "samples in training that no memory holds",
        f"{TRAIN} --data photos --samples-per-class 10000000000",
        "30,000,000,000 samples of 6 x 8 pixels take at least",
    ),
    Case(
        "guidance of a network that was never trained without labels",
        "sample run --out new --guidance 2",
        "guidance is 2.0, expected 0, because this network was never trained without labels; train one with --label-dr",
    ),
    Case(
        "guidance of an imported network",
        "evaluate imported.safetensors --data photos --samples 2 --guidance 0.5 --out new",
        "guidance is 0.5, expected 0, because this network was never trained without labels",
        import_network,
    ),
    Case("no run to resume", "train --data photos --resume", "--resume needs --out, the run to continue"),
    Case(
        "a seed beyond 64 bits",
        f"{TRAIN} --seed {2**63}",
        f"seed is {2**63}, expected a whole number of at most 64 bits",
    ),
    Case(
        "a seed of samples beyond 64 bits",
        f"sample run --out new --seed {-(2**63) - 1}",
        "expected a whole number of at most 64 bits",
    ),
    Case(
        "a mistyped run to resume",
        "train --out ruin --resume",
        "ruin holds no run to resume; correct --out, or start a run without --resume",
    ),
]
RUNS = [
    Case(
        "no such run",
        "evaluate none --data photos --json new",
        "none: no such run folder or weights file, and not the name of a bundled network: digits",
    ),
    Case(
        "a run folder without weights",
        "sample empty --out new",
        "empty: the folder has no best.safetensors; name a run folder whose first epoch has ended",
        lambda: Path("empty").mkdir(),
    ),
    Case(
        "truncated weights",
        "sample cut.safetensors --out new",
        "cut.safetensors: not a complete safetensors file (",
        lambda: truncate_weights(-100),
    ),
    Case(
        "weights whose header is truncated",
        "sample cut.safetensors --out new",
        "cut.safetensors: not a complete safetensors file (",
        lambda: truncate_weights(9),
    ),
    Case(
        "weights of another program",
        "sample foreign.safetensors --out new",
        "foreign.safetensors: not a file of pixelbayes; `pixelbayes import` converts networks of the course's code",
        lambda: safetensors.torch.save_file({"weight": torch.zeros(2)}, "foreign.safetensors"),
    ),
    Case(
        "a folder that holds a run",
        "train --data photos --out run",
        "run holds a run already; give --resume to continue it, or another --out",
    ),
    Case(
        "a folder that holds an imported network",
        "train --data photos --out imported",
        "imported holds a network that was not trained there; give another --out",
        lambda: (Path("imported").mkdir(), shutil.copy("run/best.safetensors", "imported")),
    ),
    Case(
        "a run that was started with another config",
        "train --out=run --resume --epochs 9 --fusion gate-add",
        "run/config.yaml has other values of model.fusion, training.epochs; resume without these options",
    ),
    Case(
        "images that have changed since the run was started",
        "train --out run --resume --data photos",
        "photos: the images or labels have changed since run was started; restore them, or start a new run with anot",
        lambda: shutil.copy("photos/train/cat/00.png", "photos/train/dog/00.png"),
    ),
    Case(
        "data with other classes",
        "evaluate run --data photos --json new",
        "photos/train/wolf: class 'wolf' is not among cat, dog, owl (from --class-names or the network); correct",
        lambda: shutil.copytree("photos/train/cat", "photos/train/wolf"),
    ),
    Case(
        "a file instead of a run folder",
        "train --data photos --out words",
        "words is a file, but a folder is needed; give another --out",
        lambda: write("words", "words"),
    ),
    Case(
        "a file instead of a parent folder",
        "sample run --out words/deep --num-samples 1",
        "words",
        lambda: write("words", "words"),
    ),
    Case(
        "a course network that is not a state dict",
        "import words.pth --out new",
        "words.pth: not a state dict that can be read without executing code; save `model.state_dict()`",
        lambda: write("words.pth", "words"),
    ),
]
SAMPLED = "evaluate run --data photos --device cpu --classifier classifier --samples"
GENERATED = "course generate run --data photos --device cpu --classifier classifier --out drawn"
SAMPLES = [
    Case(
        "samples of another seed in the folder",
        f"{SAMPLED} 2",
        "photos-validation/samples: holds samples with other settings (seed is 1, now 0); name another, or add --over",
        lambda: samples(seed=1),
    ),
    Case(
        "fewer samples in the folder",
        f"{SAMPLED} 3",
        "holds samples with other settings (samples_per_class is 2, now 3); name another, or add --overwrite",
        samples,
    ),
    Case(
        "another image among the samples",
        f"{SAMPLED} 2",
        "samples: holds other files (cat-0002.png); name another folder, or add --overwrite",
        lambda: shutil.copy("photos/test/cat/00.png", samples() / "cat-0002.png"),
    ),
    Case(
        "a text file among samples to overwrite",
        f"{SAMPLED} 2 --overwrite",
        "samples/notes.txt: not an image, so --overwrite removes nothing; name another folder",
        lambda: write(samples() / "notes.txt", "words"),
    ),
    Case(
        "a damaged sample",
        f"{SAMPLED} 2",
        "samples/owl-0001.png: not one of PNG",
        lambda: write(samples() / "owl-0001.png", "words"),
    ),
    Case(
        "an empty folder of samples",
        f"{SAMPLED} empty",
        "empty: no image that can be read in this folder; draw some, or name another",
        lambda: Path("empty").mkdir(),
    ),
    Case("no folder of samples", f"{SAMPLED} none", "none: no such folder of samples; correct the path, or draw some"),
    Case(
        "samples of another size",
        f"{SAMPLED} drawn",
        "drawn/a.png: 7 x 9, expected 6 x 8; draw at that size",
        lambda: (Path("drawn").mkdir(), Image.new("RGB", (9, 7)).save("drawn/a.png")),
    ),
    Case(
        "unequal numbers of samples",
        f"{SAMPLED} run/evaluation/photos-validation/samples",
        "unequal numbers of samples (cat 2, dog 1, owl 2); draw the rest, or remove some",
        lambda: (samples() / "dog-0000.png").unlink(),
    ),
    Case("no samples per class", f"{SAMPLED} 0", "samples is 0, expected at least 1"),
    Case(
        "a sampling temperature of 0",
        f"{SAMPLED} 2 --sampling-temperature 0",
        "sampling-temperature is 0.0, expected a number above 0",
    ),
    Case(
        "samples of a classifier",
        "evaluate classifier --data photos --samples 2",
        "classifier: a dedicated classifier has no density, so it cannot draw samples or score images",
    ),
    Case(
        "out-of-distribution scores of a classifier",
        "evaluate classifier --data photos --ood-data digits",
        "classifier: a dedicated classifier has no density, so it cannot draw samples or score images",
    ),
    Case(
        "unknown features",
        f"{SAMPLED} 2 --features vgg",
        "features is 'vgg', expected one of: classifier, inception-64, inception-192, inception-2048",
    ),
    Case(
        "unknown features during training",
        f"{TRAIN} --data photos --fid-every 1 --fid-features vgg",
        "training.fid_features is 'vgg', expected classifier or inception-64 or inception-192 or inception-2048",
    ),
    Case(
        "real images of a size that the classifier does not take",
        f"{SAMPLED} 2 --reference-size 12 16",
        "images have 12 x 16 pixels, 3 channels, 8 levels, the dedicated classifier takes 6 x 8 pixels, 3 channels, 8",
    ),
    Case(
        "a density instead of a classifier",
        "evaluate run --data photos --samples 2 --classifier run",
        "run/best.safetensors: holds a PixelCNN++, but a dedicated classifier is needed",
    ),
    Case(
        "a damaged classifier",
        "evaluate run --data photos --samples 2 --classifier cut.safetensors",
        "cut.safetensors: not a complete safetensors file (",
        lambda: truncate_weights(-100),
    ),
    Case(
        "missing Inception weights",
        f"{SAMPLED} 2 --features inception-64 --inception-weights none.pth",
        "none.pth: no such file; --inception-weights should name the weights from https://",
    ),
    Case(
        "damaged Inception weights",
        f"{SAMPLED} 2 --features inception-64 --inception-weights words.pth",
        "words.pth: not a complete file of PyTorch weights; delete it and download https://",
        lambda: write("words.pth", "words"),
    ),
    Case(
        "weights of a network other than Inception",
        f"{SAMPLED} 2 --features inception-192 --inception-weights other.pth",
        "other.pth: not the FID Inception network, it has no Conv2d_1a_3x3.conv.weight; use https://",
        lambda: torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "other.pth"),
    ),
    Case(
        "no such out-of-distribution data",
        "evaluate run --data photos --ood-data fotos",
        "data source 'fotos' is neither a folder, an npz file, a zip or tar archive nor one of digits, folder:..., csv",
    ),
    Case(
        "no such split of the out-of-distribution data",
        "evaluate run --data photos --ood-data photos --ood-split tset",
        "photos has no 'tset' split, only train, validation, test",
    ),
    Case(
        "an evaluation into the run folder itself",
        "evaluate run --data photos --out run",
        "run is a run folder, whose results would be lost; give another --out",
    ),
    Case(
        "a file instead of the folder of an evaluation",
        "evaluate run --data photos --out words",
        "words is a file, but a folder is needed; give another --out",
        lambda: write("words", "words"),
    ),
    Case(
        "another image in the folder of the course's samples",
        GENERATED,
        "drawn: holds other files (holiday.png); name another folder, or add --overwrite",
        lambda: (Path("drawn").mkdir(), shutil.copy("photos/test/cat/00.png", "drawn/holiday.png")),
    ),
    Case("no such split for the course's samples", f"{GENERATED} --split tset", "photos has no 'tset' split, only"),
    Case("an unknown task of the course", "course draw", "argument task: invalid choice: 'draw' (choose from"),
    Case(
        "no task of the course", "course", "the following arguments are required: task; see `pixelbayes course --help`"
    ),
]
REPORTS = [
    Case(
        "a report of a folder that is not a run",
        "report photos --out new",
        "photos: not a run folder, it contains no config.yaml, history.csv, metrics.json or quality.json",
    ),
    Case(
        "a report into a folder",
        "report run --out photos",
        "photos is a folder; give --out a file, such as photos/index.html",
    ),
    Case("a report of one run twice", "report run run --out new", "run is named twice; name each run once"),
    Case(
        "a report of a damaged run",
        "report run --out new",
        "run/metrics.json: damaged (",
        lambda: write("run/metrics.json", "{"),
    ),
]
CALIBRATION = [
    Case(
        "an explanation of an unknown class",
        "explain run photos/test/cat/00.png --classes cat wolf --out new",
        "class 'wolf' is unknown; this network knows: cat, dog, owl",
    ),
    Case(
        "an explanation of a class against itself",
        "explain run photos/test/cat/00.png --classes cat 0 --out new",
        "classes are cat, 0, expected two different ones",
    ),
    Case(
        "an explanation of one class only",
        "explain run x.png --classes cat",
        "argument --classes: expected 2 arguments",
    ),
    Case("no image to explain", "explain run none.png --out new", "none.png: no such file; correct the path"),
    Case(
        "an explanation of a classifier",
        "explain classifier photos/test/cat/00.png --out new",
        "classifier/best.safetensors: holds a dedicated classifier, but a PixelCNN++ is needed",
    ),
    Case(
        "calibration on images without labels",
        "calibrate run --data csv:photos",
        "csv:photos, validation: calibration needs images with labels of two or more classes; name such a split",
        lambda: (
            write("photos/train.csv", "".join(f"train/{name}/00.png,{name}\n" for name in ("cat", "dog", "owl"))),
            write("photos/validation.csv", "train/cat/01.png,-1\n"),
        ),
    ),
    Case("calibration on an unknown split", "calibrate run --data photos --split tset", "photos has no 'tset' split"),
    Case(
        "a damaged calibration",
        "classify run photos/test/cat/00.png",
        "run/calibration.json: not a valid calibration (",
        lambda: write("run/calibration.json", "{"),
    ),
    Case(
        "a stored temperature of 0",
        "evaluate run --data photos",
        "run/calibration.json: not a valid calibration (temperature is 0, expected a positive, finite number); delete",
        lambda: write(
            "run/calibration.json",
            re.sub(r'"temperature": [^,]+', '"temperature": 0', Path("run/calibration.json").read_text()),
        ),
    ),
]
CASES = [*FILES, *CSV, *CONFIG, *ARGUMENTS, *RUNS, *SAMPLES, *REPORTS, *CALIBRATION]


def files():
    return {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_fault_is_reported_in_one_line_and_nothing_is_written(
    case, tmp_path, pictures, finished_run, classifier_run, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(pictures, "photos")
    shutil.copytree(finished_run, "run")
    shutil.copytree(classifier_run, "classifier")
    config_file = Path("run/config.yaml")
    config_file.write_text(config_file.read_text().replace(str(pictures), "photos"))
    case.prepare()
    capfd.readouterr()
    before = files()
    assert main(case.command.split()) == 2
    output = capfd.readouterr()
    messages = (case.messages,) if isinstance(case.messages, str) else case.messages
    lines = output.err.splitlines()
    assert len(lines) == len(messages), output.err
    for line, part in zip(lines, messages, strict=True):
        assert line.startswith("pixelbayes: ")
        assert part in line
    assert output.out == ""
    assert files() == before
