import csv
import io
import json
import re
from dataclasses import replace
from functools import cache

import pytest
from pages import Document

from pixelbayes.cli import main
from pixelbayes.report import run_report, sweep
from pixelbayes.report.sweep import sweep_page, trials_csv
from pixelbayes.report.sweep_record import (
    Comparison,
    GivenTrials,
    Importance,
    RepeatRecord,
    Span,
    SweepRecord,
    TrialRecord,
)
from pixelbayes.utils.errors import InputError

EVIL = "out of <memory> & time"


def trial(number, nll=None, state="finished", *, width=8, **more):
    """A trial with some settings; one with a value has measurements, progress and a span."""
    settings = {"model.num_filters": width, "training.learning_rate": 10.0 ** -(1 + number % 3) / 3}
    if nll is not None:
        more = {
            "values": {"accuracy": 1 - nll / 3, "nll": nll, "parameters": 1234.0},
            "intervals": {"nll": (nll - 0.1, nll + 0.125)},
            "progress": ((1, nll + 1), (3, nll)),
            "spans": (Span(worker="gpu:0", start=60.0 * number, end=60.0 * number + 50),),
        } | more
    return TrialRecord(number=number, settings=settings, state=state, **more)


TRIALS = (
    trial(0, 0.5, folder="trials/0", resumed=1),
    trial(1, 0.4, width=16, origin="table", promoted=True),
    trial(2, 0.9, "pruned", reason="stopped by successive halving after 3 epochs"),
    trial(3, state="failed", reason=EVIL),
    trial(4, 0.45),
    trial(5, 0.3, infeasible=True, reason="more than 1,000 parameters"),
)
REPEATS = (
    *(RepeatRecord(number=n, seed=s, state="finished", values={"nll": 0.45 + s / 100}) for n in (1, 4) for s in (1, 3)),
    RepeatRecord(number=0, seed=1, state="failed", reason="nan in epoch 2"),
)
COMPARISONS = (
    Comparison(number=1, mean=0.47, interval=(0.44, 0.5)),
    Comparison(number=4, mean=0.48, interval=(0.45, 0.51), difference=0.01, difference_interval=(-0.03, 0.05)),
    Comparison(
        number=0, mean=0.6, interval=(0.5, 0.7), difference=0.13, difference_interval=(0.06, 0.2), as_good=False
    ),
)
START = SweepRecord(
    source="folder:photos",
    objectives={"nll": "minimise"},
    parameters={"model.num_filters": "8,16", "training.learning_rate": "0.001..0.1:log"},
    sampler="multivariate TPE",
    constraints=("at most 1,000 parameters",),
    command="pixelbayes sweep --data folder:photos",
    config="seed: 7\n",
)
RECORD = replace(
    START,
    trials=TRIALS,
    repeats=REPEATS,
    comparisons=COMPARISONS,
    best=1,
    importance={"model.num_filters": Importance(value=0.7, by_luck=0.5)},
    given=GivenTrials(
        source="results.csv",
        trials=tuple(
            replace(trial(n, 0.5 + n / 9), settings={"lr": 0.1, "note": n}, origin="result") for n in range(3)
        ),
        importance={"lr": Importance(value=0.6, by_luck=0.5), "note": Importance(value=0.4, by_luck=0.5)},
        without_effect=("note",),
        metric="accuracy",
    ),
    best_command="pixelbayes train --out best",
    seconds=400.0,
    remarks=("One trial was resumed.",),
)


@cache
def page():
    return sweep_page(RECORD)


def section_of(found, title):
    (section,) = [each for each in found.sections if each.title == title]
    return section


def test_the_page_names_the_trials_that_cannot_be_told_apart():
    section = section_of(page(), "Further seeds")
    assert section.text == (
        "Trial 4 cannot be told apart from trial 1, the best one: the interval of the difference holds 0. Trial 0 is "
        "worse."
    )
    assert section.tables[0].rows[1] == [
        "4",
        "2",
        "0.480 [0.450, 0.510]",
        "+0.010 [-0.030, +0.050]",
        "cannot be told apart",
    ]
    best = page().cards[0]
    assert (best.name, best.value) == ("Best negative log-likelihood", "0.470")
    assert best.note == "trial 1, mean of 2 further seeds, 95% interval 0.440 to 0.500"


@pytest.mark.parametrize(
    ("comparisons", "text"),
    [
        (COMPARISONS[:1], "Only trial 1 was trained again, so there is nothing to compare it with."),
        (COMPARISONS[::2], "Trial 1 is better than trial 0: no interval of a difference holds 0."),
        (
            (*COMPARISONS[:2], replace(COMPARISONS[1], number=2), replace(COMPARISONS[1], number=5)),
            "Trials 4, 2 and 5 cannot be told apart from trial 1, the best one: the interval of each difference holds "
            "0.",
        ),
    ],
    ids=["alone", "better", "alike"],
)
def test_the_sentence_says_what_the_further_seeds_can_tell(comparisons, text):
    record = replace(START, trials=tuple(replace(each, values={}, progress=(), spans=()) for each in TRIALS))
    found = sweep_page(replace(record, comparisons=comparisons, best=1))
    assert section_of(found, "Further seeds").text == text


def test_every_section_has_something_to_show_and_the_text_of_the_record_is_escaped():
    titles = [(section.part, section.title) for section in page().sections]
    own = [
        "Remarks", "Best trial", "Further seeds", "Optimization history", "Importance", "Slices",
        "Parallel coordinates", "Learning curves", "Workers", "Failures", "Trials", "How to reproduce",
    ]  # fmt: skip
    given = ["Importance by column", "Slices by column"]
    assert titles == [*(("The sweep", title) for title in own), *(("Given results", title) for title in given)]
    html = page().html()
    assert EVIL not in html
    text = re.sub(r"\s+", " ", Document(html).text)
    assert f"num_filters=8, learning_rate=0.03333 {EVIL}" in text
    assert "0, seed 1 num_filters=8, learning_rate=0.03333 nan in epoch 2" in text
    assert "of 6 trials; 1 pruned, 1 failed" in text
    assert "standard deviation of the negative log-likelihood of 0.0141" in text
    assert "The column note changes nothing that is measured, so what it seems to matter is luck." in text
    commands = [block.text for section in page().sections for block in section.code]
    assert commands == ["pixelbayes train --out best", "pixelbayes sweep --data folder:photos", "seed: 7\n"]


def test_the_table_has_one_row_a_trial_and_every_value_with_all_of_its_digits():
    rows = list(csv.DictReader(io.StringIO(trials_csv(RECORD))))
    assert [(row["number"], row["state"], row["origin"]) for row in rows[-4:]] == [
        ("5", "finished", "search"),
        *((f"{n}", "finished", "result") for n in range(3)),
    ]
    assert len(rows) == 9
    for row, each in zip(rows, RECORD.trials, strict=False):
        assert {key: float(row[key]) for key in each.values} == each.values
        assert all(row[key] == "" for key in ("nll", "accuracy", "nll_low") if not each.values)
        assert {name: float(row[name]) for name in each.settings} == each.settings
        assert (row["reason"], row["folder"]) == (each.reason, each.folder)
    assert (float(rows[0]["nll_low"]), float(rows[0]["nll_high"])) == TRIALS[0].intervals["nll"]
    assert [rows[0][key] for key in ("epochs_trained", "resumed", "promoted", "infeasible")] == ["3", "1", "no", "no"]
    assert {"fid", "seconds", "accuracy_low"}.isdisjoint(rows[0])
    assert rows[-1]["note"] == "2"


def test_a_page_is_shown_before_and_while_trials_run():
    empty = sweep_page(START)
    assert [section.title for section in empty.sections] == ["Trials", "How to reproduce"]
    assert [card.name for card in empty.cards] == ["Finished trials"]
    running = trial(0, state="running", progress=((1, 2.0),), spans=(Span(worker="gpu:0", start=9.0),))
    found = sweep_page(replace(START, trials=(running, trial(1, state="waiting"))))
    titles = [section.title for section in found.sections]
    assert titles == ["Learning curves", "Workers", "Trials", "How to reproduce"]
    assert found.cards[0].note == "of 2 trials; 1 running, 1 waiting"
    Document(found.html())


def test_the_page_shows_the_best_trials_and_says_how_many_there_are(monkeypatch):
    monkeypatch.setattr(sweep, "ROWS", 2)
    record = replace(START, trials=tuple(replace(each, progress=(), spans=()) for each in TRIALS[::-1]), parameters={})
    (table,) = section_of(sweep_page(record), "Trials").tables
    assert [row[0] for row in table.rows] == ["1", "4"]
    assert table.caption == "The best first. The first 2 of 6 trials; all are in trials.csv."


def test_several_objectives_have_a_pareto_front():
    record = replace(START, objectives={"nll": "minimise", "accuracy": "maximise"}, parameters={}, best=1, pareto=(1,))
    trials = tuple(replace(each, progress=(), spans=()) for each in TRIALS)
    assert section_of(sweep_page(replace(record, trials=trials)), "Pareto front").pictures


def test_the_report_command_shows_a_sweep_alone_and_as_a_part_beside_a_run(tmp_path, capsys):
    folder, run = tmp_path / "found", tmp_path / "run"
    trials = (trial(0, 0.5, progress=(), spans=()), trial(3, state="failed", reason=EVIL))
    replace(START, trials=trials, parameters={}, best=0).write(folder / "sweep.json")
    assert SweepRecord.read(folder / "sweep.json").trials == trials
    assert main(["report", str(folder), "--out", str(tmp_path / "page.html")]) == 0
    text = Document((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "folder:photos" in text
    assert EVIL in text
    run.mkdir()
    (run / "metrics.json").write_text("{}")
    both = run_report([folder, run])
    assert both.title == "1 run and 1 sweep"
    assert [part for part, _ in both.parts] == ["found"]  # the run has nothing to show
    assert [section.title for section in both.sections][:2] == ["Overview", "Best trial"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        json.dumps({"source": "a"}),
        json.dumps({"source": "a", "objectives": {}, "parameters": {}, "sampler": ""}),
    ],
    ids=["cut", "list", "fields", "objectives"],
)
def test_a_damaged_record_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(InputError, match=r"sweep\.json: not the record of a sweep \(.*; repeat the sweep's command$"):
        run_report([tmp_path])
