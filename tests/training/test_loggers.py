import sys
from types import SimpleNamespace

import pytest
from runs import tiny_module

from pixelbayes.training.fit import fit
from pixelbayes.training.loggers import check_wandb
from pixelbayes.utils.errors import InputError


def wandb(mode, *, login):
    """A stand-in for the package."""
    return SimpleNamespace(setup=lambda: SimpleNamespace(settings=SimpleNamespace(mode=mode)), login=login)


def test_without_login_or_network_weights_and_biases_is_refused_in_one_line(monkeypatch):
    def login(*, verify):
        assert verify
        raise RuntimeError("No API key\nconfigured.")

    monkeypatch.setitem(sys.modules, "wandb", wandb("online", login=login))
    remedy = "run `wandb login`, set WANDB_MODE=offline, or choose another --logger"
    with pytest.raises(InputError, match=rf"^logger wandb cannot start \(No API key configured\.\); {remedy}$"):
        check_wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb("offline", login=login))
    check_wandb()


def test_a_logger_that_is_not_installed_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"logger wandb needs the wandb package: pip install 'pixelbayes\[wandb\]'"):
        check_wandb()


@pytest.mark.slow
def test_a_run_has_one_identity_at_weights_and_biases_whatever_the_name_of_its_folder(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    first, second = tmp_path / "a" / "[x]#?:" / "run", tmp_path / "b" / ("run" * 60)
    for run, epochs in ((first, 1), (second, 1), (first, 2)):  # in one process; the last one is resumed
        fit(tiny_module(epochs=epochs, logger="wandb"), run)
    ids = [(run / "wandb-id.txt").read_text().strip() for run in (first, second)]
    assert ids[0] != ids[1]
    logged = [sorted(path.name for path in run.glob("wandb/offline-run-*/*.wandb")) for run in (first, second)]
    assert logged == [2 * [f"run-{ids[0]}.wandb"], [f"run-{ids[1]}.wandb"]]
