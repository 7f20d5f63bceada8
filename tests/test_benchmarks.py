import json

import pytest
import torch

from benchmarks import report, timing
from benchmarks.networks import forward_flops, network

SECONDS = ("forward_seconds", "cached_seconds", "compiled_seconds")
OTHERS = ("speedup", "forward_passes", "images_per_second", "share_of_floor", "peak_memory_mib")
SAMPLING = {"work": "sampling", "machine": "a machine", "batch": 16, "size": 32} | dict.fromkeys(SECONDS + OTHERS, 1.5)
SAMPLING["plain_seconds"] = 80.0


def test_works_are_timed_in_turn_and_the_first_round_does_not_count(monkeypatch):
    done, clock = [], iter([0, 100, 100, 200, 0, 1, 1, 3, 3, 6, 6, 10, 10, 15, 15, 21])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    medians = timing.interleaved({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, repeats=3)
    assert done == ["a", "b"] * 4
    assert medians == {"a": 3, "b": 4}  # of 1, 3, 5 and of 2, 4, 6


def test_the_reports_network_costs_what_the_reports_say():
    net = network(32, torch.device("cpu"), "input-add")
    assert forward_flops(net) == pytest.approx(0.849e9, rel=0.05)  # the course's code, F 40, K 5
    assert sum(weight.numel() for weight in net.parameters()) == pytest.approx(0.911e6, rel=0.02)


def test_the_table_stands_between_its_marks_and_leaves_the_rest_of_the_page_alone(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text("# Speed\n\n<!-- bench cpu -->\nold\n<!-- end of bench cpu -->\n\nWords.\n", encoding="utf-8")
    for _ in range(2):  # again, and it is the same
        report.write_table([SAMPLING], "cpu", page)
        text = page.read_text(encoding="utf-8")
        assert text.startswith("# Speed\n\n<!-- bench cpu -->\n\na machine.\n\n| sampling: images | size |")
        assert "| 16 | 32 x 32 | 1.500 | 80.0 |" in text
        assert text.endswith("<!-- end of bench cpu -->\n\nWords.\n")
        assert "old" not in text
    report.write_table([SAMPLING], "cuda", page)  # another device, another table
    assert text in page.read_text(encoding="utf-8")
    assert "<!-- bench cuda -->" in page.read_text(encoding="utf-8")


def test_growth_is_drawn(tmp_path):
    report.draw(
        [SAMPLING, SAMPLING | {"batch": 1}, json.loads(json.dumps(SAMPLING | {"size": 64}))], tmp_path / "g.png"
    )
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")


def test_a_single_row_shows_no_growth_and_draws_nothing(tmp_path):
    report.draw([SAMPLING, SAMPLING | {"batch": 1, "size": 64}], tmp_path / "g.png")
    assert not (tmp_path / "g.png").exists()
