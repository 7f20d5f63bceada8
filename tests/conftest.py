import pytest
from runs import train, write_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of images, `split/class/NN.png`; to be read, not changed."""
    return write_pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="session")
def finished_run(pictures, tmp_path_factory):
    """The folder of a tiny run that was never interrupted; to be read, not changed."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert train(pictures, run) == 0
    return run


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What a test fetches or makes once is kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELBAYES_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
