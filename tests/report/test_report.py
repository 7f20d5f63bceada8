import json
import math
import re

import pytest
import torch
from pages import Document, Tab

from pixelbayes.evaluation.history import write_history
from pixelbayes.plots import curves, image_grid, save_figure
from pixelbayes.report import Record, run_report
from pixelbayes.report.captions import CAPTIONS
from pixelbayes.report.one_run import ORDER
from pixelbayes.report.run_record import MOST_GRIDS
from pixelbayes.report.tables import against_table, calibration_table, data_table, quality_table
from pixelbayes.utils.errors import InputError

METRICS = {
    "accuracy": 0.75,
    "accuracy_interval": [0.4, 0.93],
    "macro_f1": 0.71,
    "per_class": {
        "ant": {"precision": 1.0, "recall": 0.5, "f1": 0.667, "support": 6},
        "<cow>": {"precision": 0.5, "recall": 1.0, "f1": 0.667, "support": 2},
    },
    "nll": 0.9,
    "brier": 0.4,
    "ece": 0.12,
    "bits_per_dim": 1.662,
    "bits_per_dim_of": "p(x | label)",
    "n": 8,
    "data": "zoo",
    "split": "test",
    "levels": 17,
    "image_size": [8, 12],
    "channels": 1,
    "resize": "crop",
    "epoch": 2,
    "parameters": 1234,
}
QUALITY = {
    "extractor": "domain-12ab34cd",
    "reference": "validation",
    "n": 50,
    "n_reference": 8,
    "fid": 4.31,
    "kid": 0.0132,
    "kid_deviation": 0.004,
    "reason": None,
    "per_class": {
        "ant": {"n": 25, "n_reference": 6, "fid": 5.0, "kid": 0.02, "kid_deviation": 0.01, "reason": None},
        "<cow>": {"n": 25, "n_reference": 1, "fid": None, "kid": None, "kid_deviation": None, "reason": "one image"},
    },
    "read_as_asked": {
        "share": 0.96,
        "interval": [0.87, 0.99],
        "per_class": {"ant": 0.92, "<cow>": 1.0},
        "classifier": "12ab34cd",
    },
    "memorising": {"pixels": {"median": 0.41, "held_out_median": 0.39, "threshold": 0.22, "share_below": 0.03}},
    "copies": 0,
}
CONFIG = "data:\n  source: zoo\nmodel:\n  num_filters: {filters}\nseed: 0\n"


def history(epochs, **more):
    keys = ("epoch", "train/bits_per_dim", "val/bits_per_dim", "val/accuracy", "seconds")
    return [dict(zip(keys, (e, 2 - e / 9, 2.1 - e / 9, e / 9, 30.0), strict=True)) | more for e in range(1, epochs + 1)]


def run(folder, *, metrics=METRICS, quality=None, epochs=3, grids=(1, 3), filters=8, figures=("confusion",)):
    """A run folder as training and evaluation leave it, without weights."""
    folder.mkdir(parents=True)
    for name, content in (("metrics", metrics), ("quality", quality)):
        if content:
            (folder / f"{name}.json").write_text(json.dumps(content))
    if epochs:
        write_history(history(epochs), folder / "history.csv")
    if filters:
        (folder / "config.yaml").write_text(CONFIG.format(filters=filters))
    picture = image_grid(torch.zeros(2, 1, 1, 8, 12, dtype=torch.uint8), 2)
    for epoch in grids:
        save_figure(picture, folder / "samples" / f"epoch-{epoch:04d}.png")
    for name in figures:
        save_figure(picture, folder / "figures" / f"{name}.png")
    return folder


def titles(page):
    return [(section.part, section.title) for section in page.sections]


def text_of(page):
    return re.sub(r"\s+", " ", Document(page.html()).text)


def test_a_run_is_reported_from_its_folder_alone(tmp_path):
    folder = run(tmp_path / "film", quality=QUALITY, figures=("mistakes", "confusion", "novelty"))
    (folder / "about.json").write_text(json.dumps({"description": "A net", "command": "pixelbayes train", "facts": {}}))
    page = run_report([folder])
    assert (page.title, page.summary) == ("film", "A net, on zoo")
    assert [(card.name, card.value) for card in page.cards] == [
        ("Accuracy", "0.750"),
        ("Macro F1", "0.710"),
        ("Negative log-likelihood", "0.900"),
        ("Bits per dimension", "1.662"),
        ("FID", "4.31"),
        ("Images", "8"),
    ]
    assert [title for _, title in titles(page)] == [
        *("Training", "Samples", "Sample quality", "Memorising", "Classes", "Calibration", "Mistakes"),
        *("More figures", "How to repeat it"),
    ]
    text = text_of(page)
    assert "95% interval 0.400 to 0.930, test, n = 8" in text
    assert "17 levels, 8x12 pixels, resize crop; of p(x | label)" in text
    assert "novelty" in text  # a figure that nobody has captioned yet
    assert "pixelbayes train" in text
    assert "num_filters: 8" in text


def test_what_a_folder_lacks_is_left_out(tmp_path):
    bare = run(tmp_path / "bare", metrics=None, epochs=0, grids=(), figures=())
    assert titles(run_report([bare])) == [("", "How to repeat it")]
    unfinished = run(tmp_path / "unfinished", metrics=None, epochs=2, grids=(2,), figures=())
    page = run_report([unfinished])
    assert titles(page) == [("", "Training"), ("", "Samples"), ("", "How to repeat it")]
    assert page.cards == []
    unlabelled = {"accuracy": None, "macro_f1": None, "nll": None, "bits_per_dim": 1.5, "n": 3, "split": "test"}
    unlabelled |= {"levels": 5, "image_size": [8, 8], "resize": "crop", "calibrated": None, "selective": None}
    page = run_report([run(tmp_path / "unlabelled", metrics=unlabelled, epochs=0, grids=(), figures=())])
    assert [card.name for card in page.cards] == ["Bits per dimension", "Images"]


def test_an_evaluation_of_a_run_is_a_part_of_its_page(tmp_path):
    folder = run(tmp_path / "film", grids=(), figures=())
    run(folder / "evaluation" / "zoo-validation", metrics=METRICS | {"accuracy": 0.5}, epochs=0, grids=(), filters=0)
    page = run_report([folder])
    assert {part for part, _ in titles(page)} == {"The run", "evaluation zoo-validation"}
    assert ("evaluation zoo-validation", "Classes") in titles(page)
    (headline,) = [section for section in page.sections if section.title == "Headline"]
    assert headline.cards[0].value == "0.500"


def test_samples_are_a_film_over_epochs_thinned_evenly_where_there_are_too_many(tmp_path):
    (section,) = [s for s in run_report([run(tmp_path / "few", grids=(1, 3))]).sections if s.title == "Samples"]
    assert [list(film.frames) for film in section.films] == [[1, 3]]
    many = Record.read(run(tmp_path / "many", grids=range(1, 2 * MOST_GRIDS + 1))).grids
    assert len(many) == MOST_GRIDS
    assert (min(many), max(many)) == (1, 2 * MOST_GRIDS)
    assert {later - sooner for sooner, later in zip(list(many), list(many)[1:], strict=False)} == {2, 3}


def test_fid_over_time_is_drawn_where_it_was_measured(tmp_path):
    folder = run(tmp_path / "film", grids=(), figures=())
    rows = history(3)
    write_history([row | {"quality/fid": math.nan} for row in rows], folder / "history.csv")
    assert ("", "Sample quality") not in titles(run_report([folder]))
    rows = [row | {"quality/fid": 9.0 - row["epoch"], "quality/fid/ant": math.nan} for row in rows]
    write_history(rows, folder / "history.csv")
    (section,) = [s for s in run_report([folder]).sections if s.title == "Sample quality"]
    assert not section.pictures[0].is_print


def test_every_caption_stands_in_a_section_of_the_report():
    assert {words.section for words in CAPTIONS.values()} <= set(ORDER)


def test_of_runs_measured_on_the_same_images_the_best_of_each_column_is_marked(tmp_path):
    one = run(tmp_path / "one", metrics=METRICS | {"accuracy": 0.75, "nll": 0.9})
    two = run(tmp_path / "two", metrics=METRICS | {"accuracy": 0.5, "nll": 0.3})
    (figures,) = [s for s in run_report([one, two]).sections if s.title == "Figures"]
    table = figures.tables[0]
    assert table.columns == ["run", "accuracy", "macro F1", "nll (nats)", "calibration error", "bits per dimension"]
    assert table.rows[0][:2] == ["one", "0.750 [0.400, 0.930]"]
    assert table.marked >= {(0, 1), (1, 3)}  # more is better, less is better
    assert (1, 1) not in table.marked
    assert {(0, 2), (1, 2)} <= table.marked  # a draw
    assert table.caption.startswith("On zoo, test split, n = 8.")


def test_runs_measured_on_other_images_are_not_compared(tmp_path):
    one = run(tmp_path / "one")
    two = run(tmp_path / "two", metrics=METRICS | {"split": "validation"})
    (figures,) = [s for s in run_report([one, two]).sections if s.title == "Figures"]
    assert [len(table.rows) for table in figures.tables] == [1, 1, 2]
    assert not any(table.marked for table in figures.tables)


def test_bits_per_dimension_of_other_levels_or_sizes_are_no_comparison(tmp_path):
    one = run(tmp_path / "one")
    two = run(tmp_path / "two", metrics=METRICS | {"levels": 256, "image_size": [32, 32], "bits_per_dim": 3.1})
    (figures,) = [s for s in run_report([one, two]).sections if s.title == "Figures"]
    assert not {(0, 5), (1, 5)} & set(figures.tables[0].marked)
    assert "The bits per dimension are no comparison: they are of different levels and image size." in (
        figures.tables[0].caption
    )


def test_runs_side_by_side_share_curves_and_a_slider_and_mark_what_their_configs_differ_in(tmp_path):
    one = run(tmp_path / "one", filters=8, quality=QUALITY)
    two = run(tmp_path / "two", filters=16, grids=(2,), epochs=4, quality=QUALITY | {"fid": 3.0})
    page = run_report([one, two])
    shared = {section.title: section for section in page.sections if section.part == "Side by side"}
    assert list(shared) == ["Figures", "Sample quality", "Training", "Samples", "Configs"]
    assert [(film.title, list(film.frames)) for film in shared["Samples"].films] == [("one", [1, 3]), ("two", [2])]
    assert shared["Samples"].stops == [1, 2, 3]
    assert shared["Sample quality"].tables[0].marked == {(1, 1), (0, 2), (1, 2)}
    (configs,) = shared["Configs"].tables
    assert configs.rows == [["model.num_filters", "8", "16"]]
    assert configs.marked == {(0, 2)}
    assert all(not section.films for section in page.sections if section.part in ("one", "two"))  # shown once
    assert {part for part, _ in titles(page)} == {"Side by side", "one", "two"}


def test_equal_configs_are_said_to_be_equal(tmp_path):
    page = run_report([run(tmp_path / "a" / "seed-0"), run(tmp_path / "b" / "seed-0")])
    assert page.summary == "a/seed-0\nb/seed-0"
    (section,) = [s for s in page.sections if s.title == "Configs"]
    assert section.text == "The configs are the same."


def test_a_folder_that_is_no_run_or_named_twice_or_damaged_is_refused_by_name(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no run folder: it has no config.yaml, history.csv"):
        run_report([tmp_path / "empty"])
    folder = run(tmp_path / "film")
    with pytest.raises(InputError, match="film is named twice"):
        run_report([folder, tmp_path / "empty" / ".." / "film"])
    (folder / "config.yaml").write_text("a: [1")
    with pytest.raises(InputError, match=r"config.yaml: damaged"):
        run_report([folder, run(tmp_path / "other")])
    (folder / "history.csv").write_text("epoch,val/accuracy\n1,half\n")
    with pytest.raises(InputError, match=r"history.csv: damaged"):
        run_report([folder])
    (folder / "metrics.json").write_text('{"accuracy": 0.')
    (folder / "history.csv").unlink()
    with pytest.raises(InputError, match=r"metrics.json: damaged"):
        run_report([folder])
    with pytest.raises(ValueError, match="no folder"):
        run_report([])


def test_calibration_is_told_before_and_after_the_temperature_with_its_source():
    after = {"temperature": 1.53, "source": "fitted on zoo, validation", "nll": 0.7, "nll_interval": [0.5, 0.9]}
    table = calibration_table(METRICS | {"nll_interval": [0.6, 1.2], "ece_if_calibrated": 0.1, "calibrated": after})
    assert table.columns == ["posterior", "as it is", "at temperature 1.530"]
    assert table.rows[0] == ["negative log-likelihood (nats)", "0.900 [0.600, 1.200]", "0.700 [0.500, 0.900]"]
    assert table.rows[2:] == [
        ["expected calibration error", "0.120", ""],
        ["error expected if calibrated", "0.100", ""],
    ]
    assert "fitted on zoo, validation" in table.caption
    assert calibration_table({"nll": None}) is None


def test_quality_has_a_row_for_all_and_for_each_class_and_says_why_a_figure_is_missing():
    table = quality_table(QUALITY)
    assert table.rows == [
        ["all", "50", "8", "4.31", "0.0132 ± 0.0040", "0.960 [0.870, 0.990]"],
        ["ant", "25", "6", "5.00", "0.0200 ± 0.0100", "0.920"],
        ["<cow>", "25", "1", "", "", "1.000"],
    ]
    assert table.caption.endswith("Read by the dedicated classifier 12ab34cd. one image")
    assert quality_table({}) is None


def test_other_data_are_told_apart_by_each_score_with_its_interval():
    scores = {"likelihood": {"auroc": 0.31, "auroc_interval": [0.2, 0.4], "n_inside": 8, "n_outside": 9}}
    table = against_table(METRICS | {"against": {"data": "moon", "split": "all", "scores": scores}})
    assert table.rows == [["likelihood", "0.310 [0.200, 0.400]"]]
    assert table.caption.startswith("Images of moon, all, against those of zoo, test")
    assert against_table(METRICS) is None


def test_a_data_table_counts_splits_classes_and_duplicates():
    def counts(cat, dog, unlabelled=0):
        return {"images": cat + dog + unlabelled, "per_class": {"cat": cat, "dog": dog}, "unlabelled": unlabelled}

    summary = {
        "class_names": ["cat", "dog"],
        "splits": {"train": counts(1200, 3), "test": counts(0, 0, 5)},
        "duplicates": {"within": {"train": 2, "test": 0}, "across": {"train/test": 1}},
    }
    table = data_table(summary)
    assert table.columns == ["class", "train", "test"]
    assert table.rows == [
        ["cat", "1,200", "0"],
        ["dog", "3", "0"],
        ["no label", "0", "5"],
        ["all", "1,203", "5"],
        ["duplicates", "2", "1"],
    ]
    assert data_table({}) is None


def test_a_picture_in_the_folder_that_has_a_drawing_beside_it_is_shown_as_the_drawing(tmp_path):
    folder = run(tmp_path / "film", grids=(), figures=())
    for suffix in (".png", ".svg"):
        save_figure(curves(history(3)), folder / "figures" / f"reliability{suffix}")
    (section,) = [s for s in run_report([folder]).sections if s.title == "Calibration"]
    assert not section.pictures[0].is_print


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_runs_side_by_side_open_in_a_browser_and_move_together(browser, tmp_path, width, scheme):
    one, two = run(tmp_path / "one", quality=QUALITY), run(tmp_path / ("two" * 30), grids=(1, 2), filters=16)
    tab = Tab(browser, run_report([one, two]), tmp_path, width, scheme)
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert tab.shown() == [3, 2]
    tab.get_by_role("slider").press("Home")
    assert tab.shown() == [1, 1]
    tab.close()
