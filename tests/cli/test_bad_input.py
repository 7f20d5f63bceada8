"""What a person may get wrong: each gives status 2 and, for each fault, a line that names it and what to do."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import safetensors.torch
import torch
from PIL import Image

from pixelbayes import experiments as experiment
from pixelbayes.checkpoints import checkpoint
from pixelbayes.cli import main


class Bad(NamedTuple):
    """One wrong thing.

    The place has `photos/`, a folder of images, and of them `run/`, a run, and `classifier/`, a dedicated classifier;
    `new` is free.
    """

    what: str
    command: str
    said: str | tuple[str, ...]  # a piece of each line
    spoil: Callable[[], object] = lambda: None


def write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")


def table(rows):
    """A csv table of two good rows and these, beside the images."""
    write("photos/train.csv", f"train/cat/00.png,cat\ntrain/dog/00.png,dog\n{rows}")
    write("photos/validation.csv", "train/cat/01.png,cat\n")


def config(text):
    write("wrong.yaml", text)


def cut_weights(size):
    write("cut.safetensors", Path("run/best.safetensors").read_bytes()[:size])


def samples(count=2, **settings):
    """The samples of an evaluation of the run, as it would draw them but for these settings."""
    folder = Path("run/evaluation/photos-validation/samples")
    experiment.draw(checkpoint.load("run"), folder, experiment.SamplingConfig(count=count, **settings))
    return folder


def several():
    write("photos/train/cat/00.png", b"")
    write("photos/train/dog/03.png", b"words")
    write("photos/validation/wolf/00.png", b"")


TRAIN = "train --out new --device cpu"
FILES = [
    Bad(
        "an image that is cut off",
        f"{TRAIN} --data photos",
        "photos/train/owl/02.png: cannot be decoded (",
        lambda: write("photos/train/owl/02.png", Path("photos/train/owl/02.png").read_bytes()[:60]),
    ),
    Bad(
        "a file that is no image",
        f"{TRAIN} --data photos",
        "photos/train/owl/02.png: not one of PNG, JPEG, WEBP, BMP, GIF, TIFF, PPM; convert it or remove it",
        lambda: write("photos/train/owl/02.png", b"words"),
    ),
    Bad(
        "an empty image file",
        f"{TRAIN} --data photos",
        "photos/train/cat/00.png: the file is empty; replace it or remove it",
        lambda: write("photos/train/cat/00.png", b""),
    ),
    Bad(
        "several faults at once",
        f"{TRAIN} --data photos --data.class_names [cat,dog,owl]",
        (
            "photos/validation/wolf: class 'wolf' is not among cat, dog, owl",
            "photos/train/cat/00.png: the file is empty",
            "photos/train/dog/03.png: not one of PNG",
        ),
        several,
    ),
    Bad("a folder without classes", f"{TRAIN} --data bare", "bare: no images found", lambda: Path("bare").mkdir()),
    Bad(
        "images that lie outside the class folders",
        f"{TRAIN} --data photos",
        "photos/train/stray.png: lies outside the class folders; move it into one",
        lambda: shutil.copy("photos/train/cat/00.png", "photos/train/stray.png"),
    ),
    Bad(
        "a class without an image",
        f"{TRAIN} --data photos",
        "photos/train/bird: no image (.png, .jpg, .jpeg, .webp, .bmp) in this class folder; add some or remove it",
        lambda: Path("photos/train/bird").mkdir(),
    ),
    Bad(
        "images of different sizes",
        f"{TRAIN} --data photos",
        "unequal image sizes, height x width (images): 6x8 (60), 9x7 (1); choose one with --data.image_size '[32, 32]'",
        lambda: Image.new("RGB", (7, 9)).save("photos/train/cat/large.png"),
    ),
    Bad("an unknown source", f"{TRAIN} --data fotos", "data source 'fotos' is neither a folder nor digits, folder:DIR"),
    Bad(
        "a split that is missing",
        f"{TRAIN} --data photos --data.validation_fraction 0",
        "photos has no 'validation' split, only train, test; add it or name another",
        lambda: shutil.rmtree("photos/validation"),
    ),
]
CSV = [
    Bad("no table", f"{TRAIN} --data csv:photos", "photos: no train.csv here; write one with path,label rows"),
    Bad(
        "an unknown label",
        f"{TRAIN} --data csv:photos --data.class_names [cat,dog]",
        "train.csv row 3: class 'dgo' is not among cat, dog",
        lambda: table("train/dog/01.png,dgo\n"),
    ),
    Bad(
        "a row that points nowhere",
        f"{TRAIN} --data csv:photos",
        "train.csv row 3: train/dog/99.png: no such file; correct the path or remove the entry",
        lambda: table("train/dog/99.png,dog\n"),
    ),
    Bad(
        "too many columns",
        f"{TRAIN} --data csv:photos",
        "train.csv row 3: 3 columns instead of path,label; quote a path that has a comma",
        lambda: table("train/dog/01.png,dog,1\n"),
    ),
    Bad(
        "names among numbers",
        f"{TRAIN} --data csv:photos",
        "train.csv row 1: label 'cat' is a name where others are numbers; use one kind",
        lambda: table("train/dog/01.png,1\n"),
    ),
]
CONFIG = [
    Bad(
        "a config that is missing", f"{TRAIN} --config none.yaml", "none.yaml: the config cannot be read (No such file"
    ),
    Bad(
        "a config that is not YAML",
        f"{TRAIN} --config wrong.yaml",
        "wrong.yaml: line 2: not YAML (",
        lambda: config("training: [1,\n"),
    ),
    Bad(
        "a config without fields",
        f"{TRAIN} --config wrong.yaml",
        "wrong.yaml: expected fields and values, as --print_config shows them",
        lambda: config("- epochs\n"),
    ),
    Bad(
        "unknown fields",
        f"{TRAIN} --config wrong.yaml",
        (
            "wrong.yaml: unknown field training.epohcs; did you mean training.epochs?",
            "wrong.yaml: unknown field n_resent; --help lists them all",
        ),
        lambda: config("training:\n  epohcs: 3\nn_resent: 5\n"),
    ),
    Bad(
        "a field of the wrong type",
        f"{TRAIN} --config wrong.yaml",
        "training.epochs is 'many', expected a whole number",
        lambda: config("training:\n  epochs: many\n"),
    ),
    Bad(
        "a field that is null",
        f"{TRAIN} --config wrong.yaml",
        "wrong.yaml: model.dropout is null, expected a number",
        lambda: config("model:\n  dropout:\n"),
    ),
    Bad(
        "a value where fields belong",
        f"{TRAIN} --config wrong.yaml",
        "wrong.yaml: model is 'film', expected fields of its own",
        lambda: config("model: film\n"),
    ),
]
ARGUMENTS = [
    Bad("an unknown command", "trian --out new", "unknown command 'trian'; did you mean train?"),
    Bad("an unknown option", f"{TRAIN} --epohcs 3", "unknown option --epohcs; did you mean --training.epochs?"),
    Bad("a word too many", f"{TRAIN} photos", "unrecognized arguments: photos; see `pixelbayes train --help`"),
    Bad("an option without its value", f"{TRAIN} --config", "argument --config: expected one argument"),
    Bad("a value of the wrong type", f"{TRAIN} --epochs 1.5", "training.epochs is '1.5', expected a whole number"),
    Bad(
        "a value out of range", f"{TRAIN} --dropout 1", "dropout is 1.0, expected a probability of at least 0 and below"
    ),
    Bad("no epochs", f"{TRAIN} --epochs 0", "epochs is 0, expected at least 1"),
    Bad("an average that never moves", f"{TRAIN} --ema_decay 1", "ema_decay is 1.0, expected at least 0 and below 1"),
    Bad("a decay that is not Adam's", f"{TRAIN} --weight_decay 0.1", "weight_decay needs the optimizer adamw"),
    Bad(
        "a size of one number", f"{TRAIN} --image_size 32", "data.image_size is '32', expected [a whole number, a whole"
    ),
    Bad(
        "a value that is none of a few",
        f"{TRAIN} --schedule linear",
        "training.schedule is 'linear', expected exponent",
    ),
    Bad(
        "an unknown fusion",
        f"{TRAIN} --fusion flim",
        "fusion is 'flim'; did you mean film?",
    ),
    Bad(
        "an unknown preset",
        f"{TRAIN} --preset digit",
        "argument --preset: invalid choice: 'digit' (choose from 'digits', 'report-000'",
    ),
    Bad("an unknown device", f"{TRAIN} --data photos --device tpu", "device is 'tpu', expected auto, cuda, mps, cpu"),
    Bad(
        "a device that is not there",
        f"{TRAIN} --data photos --device mps",
        "device mps is not available here; name anot",
    ),
    Bad(
        "a class that is unknown",
        "sample run --label wolf --out new",
        "class 'wolf' is unknown; this network knows: cat",
    ),
    Bad("no images to draw", "sample run --n 0 --out new", "n is 0, expected at least 1"),
    Bad("a count that is no number", "sample run --n few --out new", "n is 'few', expected a whole number"),
    Bad("an image to complete and no word how much of it to keep", "sample run --given x.png --out new", "--rows N"),
    Bad(
        "rows of no image", "sample run --rows 2 --out new", "--given IMAGE and one of --rows N, --pixels N go together"
    ),
    Bad(
        "more rows to keep than there are",
        "sample run --given photos/train/cat/00.png --rows 7 --out new",
        "rows is 7, expected 0 to 6: the network's images are 6 x 8",
    ),
    Bad(
        "fewer pixels to keep than none",
        "sample run --given photos/train/cat/00.png --pixels -1 --out new",
        "pixels is -1, expected 0 to 48: the network's images are 6 x 8",
    ),
    Bad("no temperature", "sample run --temperature 0 --out new", "temperature is 0.0, expected a number above 0"),
    Bad(
        "a network without data",
        "evaluate run --json new",
        "the following arguments are required: data; see `pixelbayes",
    ),
    Bad(
        "an unknown split",
        "evaluate run --data photos --split tset --json new",
        "photos has no 'tset' split, only train",
    ),
    Bad(
        "no image to classify",
        "classify run empty --out new",
        "empty: no image to classify",
        lambda: Path("empty").mkdir(),
    ),
    Bad(
        "images that cannot be read",
        "classify run none.png words.png photos/test/cat/00.png --out new",
        ("none.png: no such file; correct the path", "words.png: not one of PNG, JPEG"),
        lambda: write("words.png", b"words"),
    ),
    Bad("nothing to resume", "train --data photos --resume", "--resume needs --out: which run shall go on?"),
]
RUNS = [
    Bad("no such run", "evaluate none --data photos --json new", "none: there is no such run folder or weights file"),
    Bad(
        "a run folder without weights",
        "sample empty --out new",
        "empty: the folder has no best.safetensors; is it a run folder, and has its first epoch ended?",
        lambda: Path("empty").mkdir(),
    ),
    Bad(
        "weights that are cut off",
        "sample cut.safetensors --out new",
        "cut.safetensors: not a whole safetensors file (",
        lambda: cut_weights(-100),
    ),
    Bad(
        "weights without a head",
        "sample cut.safetensors --out new",
        "cut.safetensors: not a whole",
        lambda: cut_weights(9),
    ),
    Bad(
        "weights of another program",
        "sample foreign.safetensors --out new",
        "foreign.safetensors: a safetensors file, but not one of pixelbayes; `pixelbayes import` reads others'",
        lambda: safetensors.torch.save_file({"weight": torch.zeros(2)}, "foreign.safetensors"),
    ),
    Bad(
        "a folder that holds a run", "train --data photos --out run", "run holds a run already; give --resume to go on"
    ),
    Bad(
        "a folder that holds an imported network",
        "train --data photos --out imported",
        "imported holds a network that was not trained there; give another --out",
        lambda: (Path("imported").mkdir(), shutil.copy("run/best.safetensors", "imported")),
    ),
    Bad(
        "a run that was begun with another config",
        "train --out=run --resume --epochs 9 --fusion gate-add",
        "run/config.yaml differs from what was asked in model.fusion, training.epochs; resume without these",
    ),
    Bad(
        "images that have changed since the run was begun",
        "train --out run --resume --data photos",
        "photos: the images or labels have changed since run was begun; put them back, or start a new run with anot",
        lambda: shutil.copy("photos/train/cat/00.png", "photos/train/dog/00.png"),
    ),
    Bad(
        "data of other classes",
        "evaluate run --data photos --json new",
        "photos/train/wolf: class 'wolf' is not among cat, dog, owl (--data.class_names, or the network's)",
        lambda: shutil.copytree("photos/train/cat", "photos/train/wolf"),
    ),
    Bad(
        "a file where a folder belongs",
        "train --data photos --out words",
        "words is a file, and a folder is needed; give",
        lambda: write("words", "words"),
    ),
    Bad("a file in the way of a folder", "sample run --out words/deep --n 1", "words", lambda: write("words", "words")),
    Bad(
        "a network of the course that is none",
        "import words.pth --out new",
        "words.pth: not a state dict that can be read",
        lambda: write("words.pth", "words"),
    ),
]
SAMPLED = "evaluate run --data photos --device cpu --classifier classifier --samples"
GENERATED = "course generate run --data photos --device cpu --classifier classifier --out drawn"
SAMPLES = [
    Bad(
        "samples of another seed in the folder",
        f"{SAMPLED} 2",
        "photos-validation/samples: holds other samples (seed 1 there, 0 now); name another, or --overwrite",
        lambda: samples(seed=1),
    ),
    Bad(
        "fewer samples in the folder",
        f"{SAMPLED} 3",
        "holds other samples (samples_per_class 2 there, 3 now); name another, or --overwrite",
        samples,
    ),
    Bad(
        "a stale image among the samples",
        f"{SAMPLED} 2",
        "samples: holds cat-0002.png, not of these samples; name another, or --overwrite",
        lambda: shutil.copy("photos/test/cat/00.png", samples() / "cat-0002.png"),
    ),
    Bad(
        "what is no image where samples are to be overwritten",
        f"{SAMPLED} 2 --overwrite",
        "samples/notes.txt: not an image, so --overwrite leaves it and all else there; name another folder",
        lambda: write(samples() / "notes.txt", "words"),
    ),
    Bad(
        "a sample that is damaged",
        f"{SAMPLED} 2",
        "samples/owl-0001.png: not one of PNG",
        lambda: write(samples() / "owl-0001.png", "words"),
    ),
    Bad(
        "an empty folder of samples",
        f"{SAMPLED} empty",
        "empty: no image (.png, .jpg, .jpeg, .webp, .bmp) in this folder; draw some, or name another",
        lambda: Path("empty").mkdir(),
    ),
    Bad("no folder of samples", f"{SAMPLED} none", "none: no such folder of samples; correct the path, or draw some"),
    Bad(
        "samples of another size",
        f"{SAMPLED} drawn",
        "drawn/a.png: 7 x 9, expected 6 x 8; draw at that size",
        lambda: (Path("drawn").mkdir(), Image.new("RGB", (9, 7)).save("drawn/a.png")),
    ),
    Bad(
        "unequal numbers of samples",
        f"{SAMPLED} run/evaluation/photos-validation/samples",
        "unequal numbers of samples (cat 2, dog 1, owl 2); draw the rest, or remove some",
        lambda: (samples() / "dog-0000.png").unlink(),
    ),
    Bad("no sample of a class", f"{SAMPLED} 0", "0 samples of each class, expected at least 1"),
    Bad("no temperature of samples", f"{SAMPLED} 2 --temperature 0", "temperature is 0.0, expected a number above 0"),
    Bad(
        "samples of a classifier",
        "evaluate classifier --data photos --samples 2",
        "classifier: a dedicated classifier has no density: it draws no samples and scores no image",
    ),
    Bad(
        "a classifier set against other data",
        "evaluate classifier --data photos --against digits",
        "classifier: a dedicated classifier has no density",
    ),
    Bad("unknown features", f"{SAMPLED} 2 --features vgg", "extractor is 'vgg', expected domain, inception-64, "),
    Bad(
        "unknown features while training",
        f"{TRAIN} --data photos --quality_every 1 --quality_features vgg",
        "training.quality_features is 'vgg', expected domain or inception-64 or inception-192 or inception-2048",
    ),
    Bad(
        "features of images of another size",
        f"{SAMPLED} 2 --reference-size 12 16",
        "images are 3 x 12 x 16 with 8 levels, the dedicated classifier takes 3 x 6 x 8 with 8 levels",
    ),
    Bad(
        "a density for a classifier",
        "evaluate run --data photos --samples 2 --classifier run",
        "run/best.safetensors: holds a PixelCNN++, where a dedicated classifier is needed",
    ),
    Bad(
        "a classifier that is damaged",
        "evaluate run --data photos --samples 2 --classifier cut.safetensors",
        "cut.safetensors: not a whole safetensors file (",
        lambda: cut_weights(-100),
    ),
    Bad(
        "weights of Inception that are not there",
        f"{SAMPLED} 2 --features inception-64 --inception-weights none.pth",
        "none.pth: no such file; --inception-weights should name the weights from https://",
    ),
    Bad(
        "weights of Inception that are damaged",
        f"{SAMPLED} 2 --features inception-64 --inception-weights words.pth",
        "words.pth: not a whole file of PyTorch weights; remove it and download https://",
        lambda: write("words.pth", "words"),
    ),
    Bad(
        "weights of another network for Inception's",
        f"{SAMPLED} 2 --features inception-192 --inception-weights other.pth",
        "other.pth: not the FID Inception network, it lacks Conv2d_1a_3x3.conv.weight; take https://",
        lambda: torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "other.pth"),
    ),
    Bad("no other data", "evaluate run --data photos --against fotos", "data source 'fotos' is neither a folder nor"),
    Bad(
        "no such split of the other data",
        "evaluate run --data photos --against photos --against-split tset",
        "photos has no 'tset' split, only train, validation, test",
    ),
    Bad(
        "a run's own folder for an evaluation",
        "evaluate run --data photos --out run",
        "run is a run folder, whose own results would be lost; give another --out",
    ),
    Bad(
        "a file for the folder of an evaluation",
        "evaluate run --data photos --out words",
        "words is a file, and a folder is needed; give another --out",
        lambda: write("words", "words"),
    ),
    Bad(
        "other samples where the course's should be",
        GENERATED,
        "drawn: holds holiday.png, not of these samples; name another, or --overwrite",
        lambda: (Path("drawn").mkdir(), shutil.copy("photos/test/cat/00.png", "drawn/holiday.png")),
    ),
    Bad("no such split for the course's samples", f"{GENERATED} --split tset", "photos has no 'tset' split, only"),
    Bad("an unknown task of the course", "course draw", "argument task: invalid choice: 'draw' (choose from"),
    Bad(
        "no task of the course", "course", "the following arguments are required: task; see `pixelbayes course --help`"
    ),
]
REPORTS = [
    Bad("a report of no run", "report photos --out new", "photos: no run folder: it has no config.yaml, history.csv"),
    Bad(
        "a report into a folder", "report run --out photos", "photos is a folder; give --out a file, photos/index.html"
    ),
    Bad("a report of one run twice", "report run run --out new", "run is named twice; name each run once"),
    Bad(
        "a report of a run that is damaged",
        "report run --out new",
        "run/metrics.json: damaged (",
        lambda: write("run/metrics.json", "{"),
    ),
]
REASONS = [
    Bad(
        "a class to explain that is unknown",
        "explain run photos/test/cat/00.png --classes cat wolf --out new",
        "class 'wolf' is unknown; this network knows: cat, dog, owl",
    ),
    Bad(
        "a class against itself",
        "explain run photos/test/cat/00.png --classes cat 0 --out new",
        "classes are cat, 0, expected two that differ",
    ),
    Bad("one class alone to explain", "explain run x.png --classes cat", "argument --classes: expected 2 arguments"),
    Bad("no image to explain", "explain run none.png --out new", "none.png: no such file; correct the path"),
    Bad(
        "a classifier to explain",
        "explain classifier photos/test/cat/00.png --out new",
        "classifier/best.safetensors: holds a dedicated classifier, where a PixelCNN++ is needed",
    ),
    Bad(
        "images without labels to calibrate on",
        "calibrate run --data csv:photos",
        "csv:photos, validation: a temperature is fitted to labels of two or more classes; give such a split",
        lambda: (
            write("photos/train.csv", "".join(f"train/{name}/00.png,{name}\n" for name in ("cat", "dog", "owl"))),
            write("photos/validation.csv", "train/cat/01.png,-1\n"),
        ),
    ),
    Bad("an unknown split to calibrate on", "calibrate run --data photos --split tset", "photos has no 'tset' split"),
    Bad(
        "a calibration that is damaged",
        "classify run photos/test/cat/00.png",
        "run/calibration.json: not understood (",
        lambda: write("run/calibration.json", "{"),
    ),
    Bad(
        "a temperature of nothing",
        "evaluate run --data photos",
        "run/calibration.json: not understood (temperature is 0, expected a positive, finite number); delete it, or",
        lambda: write(
            "run/calibration.json",
            re.sub(r'"temperature": [^,]+', '"temperature": 0', Path("run/calibration.json").read_text()),
        ),
    ),
]
TABLE = [*FILES, *CSV, *CONFIG, *ARGUMENTS, *RUNS, *SAMPLES, *REPORTS, *REASONS]


def files():
    return {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.what)
def test_what_is_wrong_is_told_in_a_line_each_and_nothing_is_written(
    bad, tmp_path, pictures, finished_run, classifier_run, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(pictures, "photos")
    shutil.copytree(finished_run, "run")
    shutil.copytree(classifier_run, "classifier")
    (tmp_path / "run/config.yaml").write_text(
        (finished_run / "config.yaml").read_text().replace(str(pictures), "photos")
    )
    bad.spoil()
    capfd.readouterr()
    before = files()
    assert main(bad.command.split()) == 2
    output = capfd.readouterr()
    said = (bad.said,) if isinstance(bad.said, str) else bad.said
    lines = output.err.splitlines()
    assert len(lines) == len(said), output.err
    for line, piece in zip(lines, said, strict=True):
        assert line.startswith("pixelbayes: ")
        assert piece in line
    assert output.out == ""
    assert files() == before
