import pytest
import torch

from pixelbayes.utils import memory
from pixelbayes.utils.errors import InputError


def test_a_container_has_the_memory_of_its_limit_and_a_machine_its_own(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "LIMITS", (limit, tmp_path / "none"))
    physical = memory.memory_size()
    for text, expected in (("max\n", physical), ("1048576\n", 2**20), (f"{2**63 - 4096}\n", physical)):
        limit.write_text(text)
        assert memory.memory_size() == expected > 0


def test_what_exceeds_the_memory_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(memory, "memory_size", lambda device: 2.0**31)
    memory.check_memory(2**31, "two", "buy more")
    with pytest.raises(InputError, match=r"^images take at least 2.5 GiB of memory, but this machine has 2.0 GiB; "):
        memory.check_memory(2.5 * 2**30, "images", "buy more")
    with pytest.raises(InputError, match=r"but the device cuda has 2.0 GiB; buy more$"):
        memory.check_memory(2**32, "images", "buy more", torch.device("cuda"))
