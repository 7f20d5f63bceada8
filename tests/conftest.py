import shutil
import sys
from dataclasses import replace

import fake_timm
import pytest
import torch
from postgres import find_programs, running_server
from runs import QUICK, train, write_pictures

from pixelbayes.checkpoints import checkpoint
from pixelbayes.experiments.baseline import BASELINES, train_baseline
from pixelbayes.report import results


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of images, `split/class/NN.png`; read-only."""
    return write_pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="session")
def finished_run(pictures, tmp_path_factory):
    """The folder of a tiny run that was never interrupted; read-only."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert train(pictures, run) == 0
    return run


@pytest.fixture(scope="session")
def second_run(finished_run, tmp_path_factory):
    """A folder with weights of the same architecture that differ a little from those of `finished_run`; read-only."""
    trained = checkpoint.load(finished_run, "cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in trained.network.parameters():
            weight += 0.05 * weight.std(correction=0) * torch.randn(weight.shape, generator=generator)
    run = tmp_path_factory.mktemp("runs") / "second"
    checkpoint.save(replace(trained, calibration=None), run / "best.safetensors")
    return run


@pytest.fixture(scope="session")
def guidable_run(finished_run, tmp_path_factory):
    """A folder with the weights of `finished_run`, as if they had been trained without labels, too; read-only."""
    trained = checkpoint.load(finished_run, "cpu")
    run = tmp_path_factory.mktemp("runs") / "guidable"
    checkpoint.save(
        replace(trained, provenance=replace(trained.provenance, without_labels=True)), run / "best.safetensors"
    )
    return run


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of `finished_run` that a test may change."""
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture(scope="session")
def classifier_run(pictures, tmp_path_factory):
    """The folder of a tiny dedicated classifier of the same images; read-only."""
    folder = tmp_path_factory.mktemp("runs") / "classifier"
    train_baseline(replace(QUICK, data=replace(QUICK.data, source=str(pictures))), folder)
    return folder


@pytest.fixture
def timm(monkeypatch):
    """A stand-in for timm, with the networks tiny, coarse, patches and untrained."""
    for name, module in fake_timm.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return sys.modules["timm"]


@pytest.fixture
def quick_recipe(monkeypatch):
    """Makes the training of a feature classifier take a second."""
    monkeypatch.setitem(BASELINES, "photographs", QUICK)


@pytest.fixture
def without_plots(monkeypatch):
    """Leaves out the plots of results, which take as long as the training of a tiny run."""
    monkeypatch.setattr(results, "plots_of", lambda _: {})


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Separates the cache of the tests from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELBAYES_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def postgres_server():
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed; in Debian it is the package postgresql")
    with running_server(programs) as server:
        yield server


@pytest.fixture
def postgres(postgres_server):
    """A PostgreSQL server of the tests' own with an empty database; a test may stop, start and restart it."""
    if not postgres_server.running:
        postgres_server.start()
    postgres_server.create_database()
    return postgres_server
