"""The cached classifier whose features FID and KID use."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import yaml
from filelock import FileLock
from runs import write_pictures

from pixelbayes.checkpoints.checkpoint import load_classifier
from pixelbayes.data import DataConfig, load_data
from pixelbayes.experiments import baseline, feature_classifier
from pixelbayes.experiments.baseline import BASELINES
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError

LEVELS = 8


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch, quick_recipe):
    """The folder of cached classifiers; each test has its own."""
    monkeypatch.setenv("PIXELBAYES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "classifier"


@pytest.fixture
def trainings(monkeypatch, classifier_run):
    """The folders of the classifiers that are trained; training takes no time."""
    started = []

    def train(config, run, **_):
        started.append(run)
        shutil.copytree(classifier_run, run)

    monkeypatch.setattr(feature_classifier, "train_baseline", train)
    return started


def cached(cache):
    return [path for path in cache.iterdir() if path.is_dir()]


def classifier_of(source, **settings):
    config = DataConfig(**{"source": str(source), "levels": LEVELS, **settings})
    return feature_classifier.feature_classifier(config, load_data(config), device="cpu")


def test_the_same_images_have_one_classifier_wherever_they_are(pictures, cache, trainings, tmp_path, capsys):
    first = classifier_of(pictures)
    message = " ".join(capsys.readouterr().err.split())
    assert message.startswith(f"training a dedicated classifier of {pictures}, once, for its features; cached in ")
    moved = shutil.copytree(pictures, tmp_path / "moved")
    assert classifier_of(moved).digest == first.digest
    assert classifier_of(f"folder:{pictures}", image_size=(6, 8), channels=3).digest == first.digest
    assert trainings == cached(cache)
    assert capsys.readouterr().err == ""


def test_a_cached_classifier_is_read_from_a_cache_that_cannot_be_written(pictures, cache, trainings, monkeypatch):
    first = classifier_of(pictures)
    monkeypatch.setattr(feature_classifier, "FileLock", None)  # the lock would be written
    assert classifier_of(pictures).digest == first.digest


def test_other_images_levels_or_classes_have_another_classifier(pictures, trainings, tmp_path):
    classifier_of(pictures)
    changed = shutil.copytree(pictures, tmp_path / "changed")
    shutil.copy(changed / "train/cat/00.png", changed / "train/cat/01.png")
    classifier_of(changed)
    classifier_of(pictures, levels=4)
    classifier_of(pictures, class_names=("owl", "dog", "cat"))
    assert len(set(trainings)) == 4


def test_the_recipe_is_that_of_the_baseline_for_these_images(pictures, monkeypatch):
    monkeypatch.undo()  # use the original recipe
    data = DataConfig(source=str(pictures), levels=LEVELS)
    recipe = feature_classifier._recipe(data, load_data(data), pick_device("cpu"))
    base = BASELINES["photographs"]
    assert (recipe.model, recipe.augmentation, recipe.seed) == (base.model, base.augmentation, base.seed)
    assert recipe.training == replace(base.training, device="cpu", logger="none")
    digits = DataConfig(source="digits")
    recipe = feature_classifier._recipe(digits, load_data(digits), pick_device("cpu"))
    assert recipe.model == BASELINES["digits"].model


def test_two_threads_that_need_the_same_classifier_train_it_once(pictures, trainings, monkeypatch, classifier_run):
    waiting = threading.Event()

    class Lock(FileLock):
        def acquire(self, *args, **kwargs):
            if trainings:  # the first thread holds the lock
                waiting.set()
            return super().acquire(*args, **kwargs)

    def train(config, run, **_):
        trainings.append(run)
        assert waiting.wait(60)
        shutil.copytree(classifier_run, run)

    monkeypatch.setattr(feature_classifier, "FileLock", Lock)
    monkeypatch.setattr(feature_classifier, "train_baseline", train)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(classifier_of, pictures)
        while not trainings and not first.done():
            pass
        second = pool.submit(classifier_of, pictures)
        assert first.result().digest == second.result().digest
    assert len(trainings) == 1


@pytest.mark.usefixtures("without_plots")
def test_an_interrupted_training_is_resumed(pictures, cache, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(baseline, "write_results", interrupted)
        with pytest.raises(KeyboardInterrupt):
            classifier_of(pictures)
    (folder,) = cached(cache)
    weights = (folder / "best.safetensors").stat().st_mtime_ns
    assert classifier_of(pictures).digest == load_classifier(folder).digest
    assert (folder / "best.safetensors").stat().st_mtime_ns == weights


def test_an_interrupted_training_on_another_path_of_the_images_starts_again(
    pictures, cache, trainings, classifier_run, tmp_path
):
    first = classifier_of(pictures)
    (folder,) = cached(cache)
    (folder / "metrics.json").unlink()
    other = yaml.safe_load((folder / "config.yaml").read_text())
    other["data"]["source"] = "elsewhere"
    (folder / "config.yaml").write_text(yaml.safe_dump(other))
    assert classifier_of(pictures).digest == first.digest
    assert yaml.safe_load((folder / "config.yaml").read_text())["data"]["source"] != "elsewhere"


def test_a_named_run_is_used_unchanged(classifier_run, pictures, trainings):
    config = DataConfig(source=str(pictures))
    found = feature_classifier.feature_classifier(config, load_data(config), run=classifier_run, device="cpu")
    assert found.digest == load_classifier(classifier_run).digest
    assert trainings == []


def test_images_without_labels_have_no_classifier_and_the_remedy_is_named(tmp_path, cache):
    source = write_pictures(tmp_path / "data", classes=("cat",))
    (source / "train.csv").write_text("train/cat/00.png,cat\ntrain/cat/01.png,dog\n")
    (source / "validation.csv").write_text("validation/cat/00.png,-1\n")
    with pytest.raises(InputError, match=r"no labels, .*--classifier, or use the features inception-192"):
        classifier_of(f"csv:{source}", class_names=("cat", "dog"))
    assert not cache.exists()
