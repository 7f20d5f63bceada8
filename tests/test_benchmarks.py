import json
import pickle
from inspect import signature

import pytest
import torch
from runs import tiny_module

from benchmarks import report, timing
from benchmarks.__main__ import cases
from benchmarks.bare_loop import bare_step
from benchmarks.networks import forward_flops, network
from pixelbayes.training.fit import fit

SECONDS = ("forward_seconds", "cached_seconds", "compiled_seconds")
OTHERS = ("speedup", "forward_passes", "images_per_second", "share_of_floor", "peak_memory_mib")
SAMPLING = {"work": "sampling", "machine": "a machine", "batch": 16, "size": 32} | dict.fromkeys(SECONDS + OTHERS, 1.5)
SAMPLING["reference_seconds"] = 80.0


def test_functions_are_timed_in_turn_and_the_first_round_is_not_counted(monkeypatch):
    done, clock = [], iter([0, 100, 100, 200, 0, 1, 1, 3, 3, 6, 6, 10, 10, 15, 15, 21])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    medians = timing.interleaved({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, repeats=3)
    assert done == ["a", "b"] * 4
    assert medians == {"a": 3, "b": 4}  # of 1, 3, 5 and of 2, 4, 6


def test_the_reports_network_costs_what_the_reports_say():
    net = network(32, torch.device("cpu"), "input-add")
    assert forward_flops(net) == pytest.approx(0.849e9, rel=0.05)  # the course's code, F 40, K 5
    assert sum(weight.numel() for weight in net.parameters()) == pytest.approx(0.911e6, rel=0.02)


def test_the_tables_replace_those_between_the_markers_and_nothing_else(tmp_path):
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


def test_scaling_is_plotted(tmp_path):
    report.draw(
        [SAMPLING, SAMPLING | {"batch": 1}, json.loads(json.dumps(SAMPLING | {"size": 64}))], tmp_path / "g.png"
    )
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")


def test_a_single_value_of_each_size_plots_nothing(tmp_path):
    report.draw([SAMPLING, SAMPLING | {"batch": 1, "size": 64}], tmp_path / "g.png")
    assert not (tmp_path / "g.png").exists()


def test_the_bare_loop_takes_the_same_step_as_training_does(tmp_path):
    settings = {"epochs": 1, "batch_size": 10, "warmup_steps": 0, "schedule": "constant"}  # one epoch is one step
    trained, bare = tiny_module(**settings), tiny_module(**settings)
    (epoch,) = fit(trained, tmp_path)
    assert float(bare_step(bare)(0, torch.arange(10))) == pytest.approx(epoch["train/bits_per_dim"], rel=1e-6)
    for name, weight in trained.average.state_dict().items():
        torch.testing.assert_close(bare.average.state_dict()[name], weight, msg=name)


def test_every_case_has_its_own_name_and_a_function_that_can_be_sent_to_a_process():
    every = list(cases("cpu", repeats=1))
    assert len({name for name, _ in every}) == len(every)
    for _, case in every:
        assert signature(pickle.loads(pickle.dumps(case))).bind()
