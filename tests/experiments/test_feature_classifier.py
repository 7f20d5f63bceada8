import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import yaml
from filelock import FileLock
from runs import QUICK, write_pictures

from pixelbayes.checkpoints.checkpoint import load_baseline
from pixelbayes.data import DataConfig, load_data
from pixelbayes.experiments import baseline
from pixelbayes.experiments import feature_classifier as domain
from pixelbayes.experiments.baseline import BASELINES
from pixelbayes.experiments.feature_classifier import domain_classifier
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError

LEVELS = 8


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch, quick_recipe):
    """A cache of each test's own."""
    monkeypatch.setenv("PIXELBAYES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "domain"


@pytest.fixture
def trainings(monkeypatch, classifier_run):
    """The folders of those that are trained, which here takes no time."""
    begun = []

    def train(config, run, **how):
        begun.append(run)
        shutil.copytree(classifier_run, run)

    monkeypatch.setattr(domain, "train_baseline", train)
    return begun


def kept_in(cache):
    return [path for path in cache.iterdir() if path.is_dir()]


def classifier_of(source, **how):
    return domain_classifier(DataConfig(source=str(source), levels=LEVELS, **how), device="cpu")


def test_a_classifier_is_trained_once_for_the_same_images_wherever_they_lie(
    pictures, cache, trainings, tmp_path, capsys
):
    first = classifier_of(pictures)
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith(f"training a dedicated classifier of {pictures}, once, for its features; kept in ")
    moved = shutil.copytree(pictures, tmp_path / "moved")
    assert classifier_of(moved).digest == first.digest
    assert classifier_of(f"folder:{pictures}", image_size=(6, 8), channels=3).digest == first.digest
    assert trainings == kept_in(cache)
    assert capsys.readouterr().err == ""


def test_other_images_levels_or_classes_have_a_classifier_of_their_own(pictures, trainings, tmp_path):
    classifier_of(pictures)
    changed = shutil.copytree(pictures, tmp_path / "changed")
    shutil.copy(changed / "train/cat/00.png", changed / "train/cat/01.png")
    classifier_of(changed)
    domain_classifier(DataConfig(source=str(pictures), levels=4), device="cpu")
    classifier_of(pictures, class_names=("owl", "dog", "cat"))
    assert len(set(trainings)) == 4


def test_the_recipe_is_that_of_the_baseline_for_such_images(pictures, monkeypatch):
    monkeypatch.undo()  # the real one
    data = DataConfig(source=str(pictures), levels=LEVELS)
    recipe = domain._recipe(data, load_data(data), pick_device("cpu"))
    base = BASELINES["photographs"]
    assert (recipe.model, recipe.augmentation, recipe.seed) == (base.model, base.augmentation, base.seed)
    assert recipe.training == replace(base.training, device="cpu", logger="none")
    digits = DataConfig(source="digits")
    assert domain._recipe(digits, load_data(digits), pick_device("cpu")).model == BASELINES["digits"].model


def test_two_that_ask_at_a_time_have_it_trained_once(pictures, trainings, monkeypatch, classifier_run):
    asked = threading.Event()

    class Lock(FileLock):
        def acquire(self, *args, **kwargs):
            if trainings:  # the first is at it
                asked.set()
            return super().acquire(*args, **kwargs)

    def train(config, run, **how):
        trainings.append(run)
        assert asked.wait(60)
        shutil.copytree(classifier_run, run)

    monkeypatch.setattr(domain, "FileLock", Lock)
    monkeypatch.setattr(domain, "train_baseline", train)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(classifier_of, pictures)
        while not trainings and not first.done():
            pass
        second = pool.submit(classifier_of, pictures)
        assert first.result().digest == second.result().digest
    assert len(trainings) == 1


def test_a_training_that_was_stopped_goes_on(pictures, cache, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(baseline, "write_results", stopped)
    with pytest.raises(KeyboardInterrupt):
        classifier_of(pictures)
    (kept,) = kept_in(cache)
    weights = (kept / "best.safetensors").stat().st_mtime_ns
    monkeypatch.undo()
    monkeypatch.setenv("PIXELBAYES_CACHE", str(cache.parent))
    monkeypatch.setitem(BASELINES, "photographs", QUICK)
    assert classifier_of(pictures).digest == load_baseline(kept).digest
    assert (kept / "best.safetensors").stat().st_mtime_ns == weights


def test_a_training_that_stopped_under_another_name_of_the_images_begins_anew(pictures, cache, tmp_path):
    first = classifier_of(pictures)
    (kept,) = kept_in(cache)
    (kept / "metrics.json").unlink()
    moved = shutil.copytree(pictures, tmp_path / "moved")
    assert classifier_of(moved).digest == first.digest
    assert yaml.safe_load((kept / "config.yaml").read_text())["data"]["source"] == str(moved)


def test_a_run_that_is_named_is_taken_as_it_is(classifier_run, pictures, trainings):
    data = DataConfig(source=str(pictures))
    found = domain_classifier(data, run=classifier_run, device="cpu")
    assert found.digest == load_baseline(classifier_run).digest
    assert trainings == []


def test_a_density_is_no_classifier(finished_run, pictures):
    with pytest.raises(InputError, match="holds a PixelCNN\\+\\+, where a dedicated classifier is needed"):
        domain_classifier(DataConfig(source=str(pictures)), run=finished_run)


def test_images_without_labels_have_no_classifier_and_the_remedy_is_said(tmp_path, cache):
    source = write_pictures(tmp_path / "data", classes=("cat",))
    (source / "train.csv").write_text("train/cat/00.png,cat\ntrain/cat/01.png,dog\n")
    (source / "validation.csv").write_text("validation/cat/00.png,-1\n")
    with pytest.raises(
        InputError, match=r"validation has no labels, .*--classifier, or take the features inception-192"
    ):
        domain_classifier(DataConfig(source=f"csv:{source}", class_names=("cat", "dog")), device="cpu")
    assert not cache.exists()
