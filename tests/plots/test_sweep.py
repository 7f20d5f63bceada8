import random

import numpy as np
import pytest
from figures import texts

from pixelbayes.plots import (
    Bar,
    learning_curves,
    optimization_history,
    parallel_coordinates,
    parameter_importance,
    parameter_slice,
    pareto_front,
    trial_timeline,
)
from pixelbayes.plots.style import BLUE, SOFT, VERMILLION
from pixelbayes.plots.trials import Scale, value_limits

NAN = float("nan")
NLL = {"heading": "nll (nats)", "minimise": True}
SEARCHED = {
    "a.rate": "0.001..0.1:log",
    "a.width": "8,16,64",
    "b.kind": "$5_bill,one-hot-map+film+output-concat,[8, 12]",
}


def trials(count, state=""):
    """States, values and settings."""
    draw = random.Random(0)
    states = [state or draw.choice(("finished", "pruned", "failed")) for _ in range(count)]
    values = [None if state == "failed" else 2 + draw.gauss(0, 1) + 90 * (draw.random() < 0.05) for state in states]
    settings = {
        "a.rate": [10 ** draw.uniform(-3, -1) for _ in states],
        "a.width": [draw.choice((8, 16, 64)) for _ in states],
        "b.kind": [draw.choice(("$5_bill", "one-hot-map+film+output-concat", (8, 12))) for _ in states],
    }
    return states, values, settings


def line(axes, marker, colour=None):
    """The points of the lines with this marker."""
    lines = [each for each in axes.get_lines() if each.get_marker() == marker and colour in (None, each.get_color())]
    return np.concatenate([each.get_xydata() for each in lines] or [np.zeros((0, 2))]).tolist()


@pytest.mark.parametrize(("count", "state"), [(1, "finished"), (1, "failed"), (200, "")])
def test_every_figure_is_drawn_of_one_trial_of_a_failure_and_of_many(count, state):
    states, values, settings = trials(count, state)
    numbers, known = list(range(count)), [value or 0.0 for value in values]
    bars = [Bar(f"gpu:{n % 3}", 9.0 * n, None if n % 7 == 6 else 9.0 * n + 8, f"{n}", s) for n, s in enumerate(states)]
    progress = {n: [] if value is None else [(1, value + 1), (3, value)] for n, value in enumerate(values)}
    figures = [
        optimization_history(numbers, values, states, best=0, intervals=[None] * count, **NLL),
        parallel_coordinates(settings, values, searched=SEARCHED, best=0, **NLL),
        parameter_importance(dict(zip(map(str, numbers[:20]), [(0.1, 0.2)] * 20, strict=False)), ["0"]),
        pareto_front(numbers, {"x": known, "y": known, "z": known}, [0], minimise={"x": True, "y": False, "z": True}),
        learning_curves(progress, dict(enumerate(states)), best=0, **NLL),
        trial_timeline(bars, 10.0),
        *(
            parameter_slice(column, values, states, name=name, searched=SEARCHED[name], best=0, **NLL)
            for name, column in settings.items()
        ),
    ]
    for figure in figures:
        figure.draw_without_rendering()
    if count == 200:
        assert "$5_bill" in texts(figures[1])
        assert "$5_bill" in texts(figures[-1])


@pytest.mark.parametrize(
    ("values", "searched", "fractions", "labels"),
    [
        ([0.001, 0.01, 0.1], "0.001..0.1:log", [0, 0.5, 1], ["0.001", "0.003", "0.01", "0.03", "0.1"]),
        ([5, None, 25], "5..25:step=5", [0, NAN, 1], ["5", "10", "15", "20", "25"]),
        ([64, 8, 16], "16,8,64", [5 / 6, 1 / 6, 1 / 2], ["8", "16", "64"]),
        (["b", (8, 12)], "[8, 12],c,b", [3 / 4, 1 / 4], ["[8, 12]", "b"]),
        ([True, None], "true,null", [1 / 4, 3 / 4], ["true", "null"]),
        (["../a", "../b"], "../a,../b", [1 / 4, 3 / 4], ["../a", "../b"]),  # no range
        ([0.5 * n for n in range(11)], "", [n / 10 for n in range(11)], ["0", "1", "2", "3", "4", "5"]),
        ([10.0**-n for n in range(9)], "", [1 - n / 8 for n in range(9)], None),
    ],
    ids=["log", "step", "numbers", "lists", "flags", "paths", "unknown", "unknown-log"],
)
def test_a_parameter_has_the_axis_of_the_values_that_were_searched(values, searched, fractions, labels):
    scale = Scale.of(values, searched)
    assert scale.fractions(scale.positions(values)) == pytest.approx(fractions, nan_ok=True)
    assert labels is None or list(scale.ticks().values()) == labels


def test_the_best_value_so_far_is_that_of_finished_trials_only():
    states = ["finished", "pruned", "failed", "finished", "running", "finished"]
    values = [2.0, 0.5, None, 1.0, None, 3.0]
    (axes,) = optimization_history(range(6), values, states, best=3, **NLL).axes
    (steps,) = [each.get_xydata().tolist() for each in axes.get_lines() if each.get_drawstyle() == "steps-post"]
    assert steps == [[0, 2.0], [3, 1.0], [5, 1.0], [5, 1.0]]
    assert line(axes, "x") == [[1, 0.5]]
    assert line(axes, "D") == [[3, 1.0]]
    assert [x for x, _ in line(axes, "|")] == [2]


def test_values_far_beyond_the_others_are_triangles_at_the_edge():
    values = [1.0, 1.2, 1.4, 1.6, 900.0]
    low, high = value_limits(values, minimise=True)
    assert low < 1
    assert 1.6 < high < 3
    (axes,) = optimization_history(range(5), values, ["finished"] * 5, **NLL).axes
    assert line(axes, "^") == [[4, high]]
    mirrored = [-value for value in values]
    assert value_limits(mirrored, minimise=False) == pytest.approx((-high, -low))


def test_names_of_categories_stay_distinct_where_they_are_shortened():
    names = [f"one-hot-map+film+output-{end}" for end in ("concat", "add", "gate")]
    (axes,) = parameter_slice(names, [1.0, 2.0, 3.0], ["finished"] * 3, name="fusion", **NLL).axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert len(set(labels)) == 3
    assert all(label.get_rotation() for label in axes.get_xticklabels())  # they would overlap


def test_a_line_ends_at_the_objective_or_without_a_value_at_the_last_parameter():
    settings = {"a": [1, 2, 3], "b": ["x", "y", "x"]}
    (axes,) = parallel_coordinates(settings, [1.0, None, 2.0], best=0, **NLL).axes
    best, unknown, other = axes.get_lines()[:3]
    assert [len(each.get_xdata()) for each in (best, unknown, other)] == [3, 2, 3]
    assert best.get_color() == VERMILLION
    assert best.get_ydata()[-1] < other.get_ydata()[-1]


def test_bars_of_importance_are_sorted_have_the_mark_of_luck_and_are_hatched_without_effect():
    figure = parameter_importance({"a": (0.1, 0.3), "seed": (0.2, 0.4), "b": (0.7, 0.5)}, ["seed"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "seed", "a"]
    assert [bar.get_width() for bar in axes.patches] == [0.7, 0.2, 0.1]
    assert [bar.get_hatch() for bar in axes.patches] == ["", "////", ""]
    assert [each.get_xdata()[0] for each in axes.get_lines()] == [0.5, 0.4, 0.3]


def test_the_pareto_front_is_numbered_and_an_unused_panel_is_empty():
    values = {"x": [1.0, 2.0, 2.0], "y": [2.0, 1.0, 2.0]}
    (axes,) = pareto_front([4, 5, 6], values, [5, 4], minimise={"x": True, "y": True}).axes
    assert line(axes, "o") == [[2, 2]]
    assert line(axes, "D") == [[1, 2], [2, 1]]
    assert [text.get_text() for text in axes.texts] == ["4", "5"]
    far = pareto_front(
        [4, 5, 6], {"x": [1.0, 1.1, 1.2], "y": [3.0, 2.0, -900.0]}, [4, 6], minimise={"x": True, "y": False}
    )
    assert far.axes[0].get_ylim()[0] < -900  # nothing of the front is left out
    three = values | {"z": [0.0, 0.0, 1.0]}
    panels = pareto_front([4, 5, 6], three, [5], minimise=dict.fromkeys(three, True)).axes
    assert [panel.axison for panel in panels] == [True, True, True, False]
    with pytest.raises(ValueError, match="1 objectives, expected two or more"):
        pareto_front([1], {"x": [1.0]}, [1], minimise={"x": True})


def test_a_pruned_trial_has_a_cross_where_it_was_stopped():
    progress = {0: [(1, 3.0), (2, 2.0), (3, 1.0)], 1: [(1, 4.0)], 2: [], 3: [(1, 2.0)]}
    states = {0: "finished", 1: "pruned", 2: "failed", 3: "running"}
    (axes,) = learning_curves(progress, states, best=0, **NLL).axes
    assert line(axes, "x", SOFT) == [[1, 4.0]]
    assert [each.get_color() for each in axes.get_lines() if len(each.get_xdata()) == 3] == [VERMILLION]


def test_a_timeline_leaves_out_times_in_which_nothing_ran():
    bars = [
        Bar("b", 90000, None, "2", "running"),
        Bar("a", 1000, 1600, "0", "finished"),
        Bar("b", 1300, 1900, "1", "failed"),
    ]
    (axes,) = trial_timeline(bars, seconds=1500).axes
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 10), (5, 10), (15, 10)]  # in minutes
    assert axes.get_xlabel() == "minutes since the start"
    assert [each.get_xdata()[0] for each in axes.get_lines()] == [15]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.patches[2].get_edgecolor()[:3] == pytest.approx([int(BLUE[i : i + 2], 16) / 255 for i in (1, 3, 5)])
