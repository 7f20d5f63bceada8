import pytest
import torch

from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError


@pytest.fixture
def machine(monkeypatch):
    """A machine with or without the accelerators."""

    def build(cuda=False, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return build


@pytest.mark.parametrize(
    ("there", "picked"),
    [({}, "cpu"), ({"mps": True}, "mps"), ({"cuda": True}, "cuda"), ({"cuda": True, "mps": True}, "cuda")],
)
def test_auto_is_the_first_of_cuda_mps_and_cpu_that_is_there(there, picked, machine):
    machine(**there)
    assert pick_device("auto") == torch.device(picked)


def test_a_device_that_is_named_is_taken(machine):
    machine(cuda=True)
    assert pick_device("cpu", "float64") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(name, machine):
    machine()
    with pytest.raises(InputError, match=f"device {name} is not available"):
        pick_device(name)


def test_an_unknown_device_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="device is 'gpu', expected auto, cuda, mps, cpu"):
        pick_device("gpu")


@pytest.mark.parametrize("name", ["auto", "mps"])
def test_apples_device_computes_in_float32_alone(name, machine):
    machine(mps=True)
    with pytest.raises(InputError, match="precision bf16 is not for Apple's mps"):
        pick_device(name, "bf16")
