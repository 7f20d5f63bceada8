import pytest
import torch

from pixelbayes.utils.devices import is_first_process, keep_freed_memory, pick_device
from pixelbayes.utils.errors import InputError


@pytest.fixture
def machine(monkeypatch):
    """Simulates a machine with or without each accelerator."""

    def build(cuda=False, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return build


@pytest.mark.parametrize(
    ("available", "picked"),
    [({}, "cpu"), ({"mps": True}, "mps"), ({"cuda": True}, "cuda"), ({"cuda": True, "mps": True}, "cuda")],
)
def test_auto_is_the_first_available_of_cuda_mps_and_cpu(available, picked, machine):
    machine(**available)
    assert pick_device("auto") == torch.device(picked)


def test_a_named_device_is_used_even_if_another_would_be_faster(machine):
    machine(cuda=True)
    assert pick_device("cpu", "float64") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_unavailable_device_is_rejected(name, machine):
    machine()
    with pytest.raises(InputError, match=f"device {name} is not available"):
        pick_device(name)


def test_an_unknown_device_is_rejected_with_the_valid_ones():
    with pytest.raises(InputError, match="device is 'gpu', expected auto, cuda, mps, cpu"):
        pick_device("gpu")


@pytest.mark.parametrize("name", ["auto", "mps"])
def test_apples_device_supports_float32_only(name, machine):
    machine(mps=True)
    with pytest.raises(InputError, match="precision bf16 is not supported by Apple's mps device"):
        pick_device(name, "bf16")


def test_the_first_process_is_rank_zero_or_a_single_one(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert is_first_process()
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        assert is_first_process() == (rank == 0)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_keeping_freed_memory_works_on_every_platform(platform, monkeypatch):
    monkeypatch.setattr("sys.platform", platform)
    keep_freed_memory()
