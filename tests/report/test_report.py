import json
import math
import re
from functools import cache
from itertools import pairwise

import pytest
import torch
from pages import Document, Tab

from pixelbayes.evaluation.history import write_history
from pixelbayes.metrics.registry import METRICS, Metric
from pixelbayes.plots import PLOTS, curves, image_grid, to_png, to_svg
from pixelbayes.report import RunRecord, run_report
from pixelbayes.report.one_run import TABLES
from pixelbayes.report.run_record import MAX_GRIDS
from pixelbayes.report.tables import calibration_table, data_table, memorization_table, ood_table, quality_table
from pixelbayes.utils.errors import InputError

MEASURED = {
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
    "views": 2,
    "masks": 4,
    "combine": "product",
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
    "extractor": "classifier-12ab34cd",
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
    "class_agreement": {
        "share": 0.96,
        "interval": [0.87, 0.99],
        "per_class": {"ant": 0.92, "<cow>": 1.0},
        "classifier": "12ab34cd",
    },
    "memorization": {"pixels": {"median": 0.41, "held_out_median": 0.39, "threshold": 0.22, "share_below": 0.03}},
    "copies": 0,
}
CONFIG = "data:\n  source: zoo\nmodel:\n  num_filters: {filters}\nseed: 0\n"


@cache
def picture():
    return to_png(image_grid(torch.zeros(1, 1, 1, 4, 4, dtype=torch.uint8), 2))


def history(epochs, **more):
    keys = ("epoch", "train/bits_per_dim", "val/bits_per_dim", "val/accuracy", "seconds")
    return [dict(zip(keys, (e, 2 - e / 9, 2.1 - e / 9, e / 9, 30.0), strict=True)) | more for e in range(1, epochs + 1)]


def run(folder, *, metrics=MEASURED, quality=None, epochs=0, grids=(), filters=8, plots=()):
    """A run folder without weights."""
    folder.mkdir(parents=True)
    for name, content in (("metrics", metrics), ("quality", quality)):
        if content:
            (folder / f"{name}.json").write_text(json.dumps(content))
    if epochs:
        write_history(history(epochs), folder / "history.csv")
    if filters:
        (folder / "config.yaml").write_text(CONFIG.format(filters=filters))
    for kind, names in (("samples", [f"epoch-{epoch:04d}" for epoch in grids]), ("figures", plots)):
        for name in names:
            (folder / kind).mkdir(exist_ok=True)
            (folder / kind / f"{name}.png").write_bytes(picture())
    return folder


def titles(page):
    return [(section.part, section.title) for section in page.sections]


def section_of(page, title, part=None):
    (found,) = [each for each in page.sections if each.title == title and part in (None, each.part)]
    return found


def text_of(page):
    return re.sub(r"\s+", " ", Document(page.html()).text)


# One run


def test_the_report_of_a_run_needs_only_its_folder(tmp_path):
    folder = run(tmp_path / "film", quality=QUALITY, epochs=3, grids=(1, 3), plots=("errors", "confusion", "novelty"))
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
        *("Training", "Samples", "Sample quality", "Memorization", "Classification", "Calibration", "Errors"),
        *("Other plots", "How to reproduce"),
    ]
    text = text_of(page)
    assert "95% interval 0.400 to 0.930, test, n = 8; scored with 2 views and 4 masks per view, combined as a" in text
    assert "17 levels, 8x12 pixels, resize crop; of p(x | label)" in text
    assert "novelty" in text  # a plot that is not in PLOTS
    assert "pixelbayes train" in text
    assert "num_filters: 8" in text


def test_a_plot_in_the_registry_is_shown_with_its_description_and_caption(tmp_path):
    page = run_report(
        [run(tmp_path / "film", plots=[name for name, plot in PLOTS.items() if plot.draw_history is None])]
    )
    images = {image["alt"] for image in Document(page.html()).all("img")}
    for plot in PLOTS.values():
        if plot.draw_history is None:
            (found,) = [each for each in section_of(page, plot.section).pictures if each.caption == plot.caption]
            assert found.description in images
    order = list(dict.fromkeys(plot.section for plot in PLOTS.values()))
    assert [title for _, title in titles(page) if title in order] == [
        title for title in order if ("", title) in titles(page)
    ]
    assert TABLES.keys() - set(order) == {"Acceptance", "Data", "Prediction sets"}


def test_a_metric_in_the_registry_has_a_card_and_a_column(tmp_path, monkeypatch):
    top_2 = Metric(key="top_2", title="top-2 accuracy", better="higher", compute=lambda log_posterior, labels: 1.0)
    monkeypatch.setitem(METRICS, "top_2", top_2)
    one, two = (run(tmp_path / f"{value}", metrics=MEASURED | {"top_2": value}) for value in (0.8, 0.9))
    assert ("Top-2 accuracy", "0.800") in [(card.name, card.value) for card in run_report([one]).cards]
    table = section_of(run_report([one, two]), "Metrics").tables[0]
    assert [row[table.columns.index("top-2 accuracy")] for row in table.rows] == ["0.800", "0.900"]


def test_missing_files_are_left_out(tmp_path):
    bare = run(tmp_path / "bare", metrics=None)
    assert titles(run_report([bare])) == [("", "How to reproduce")]
    unfinished = run(tmp_path / "unfinished", metrics=None, epochs=2, grids=(2,))
    page = run_report([unfinished])
    assert titles(page) == [("", "Training"), ("", "Samples"), ("", "How to reproduce")]
    assert page.cards == []
    unlabelled = {"accuracy": None, "macro_f1": None, "nll": None, "bits_per_dim": 1.5, "n": 3, "split": "test"}
    unlabelled |= {"levels": 5, "image_size": [8, 8], "resize": "crop", "calibrated": None, "selective": None}
    page = run_report([run(tmp_path / "unlabelled", metrics=unlabelled)])
    assert [card.name for card in page.cards] == ["Bits per dimension", "Images"]


def test_an_evaluation_is_a_part_of_the_page_of_its_run(tmp_path):
    folder = run(tmp_path / "film")
    run(folder / "evaluation" / "zoo-validation", metrics=MEASURED | {"accuracy": 0.5}, filters=0)
    page = run_report([folder])
    assert {part for part, _ in titles(page)} == {"The run", "evaluation zoo-validation"}
    assert ("evaluation zoo-validation", "Classification") in titles(page)
    assert section_of(page, "Overview").cards[0].value == "0.500"


def test_samples_by_epoch_are_a_timeline_with_evenly_spaced_epochs(tmp_path):
    samples = section_of(run_report([run(tmp_path / "few", grids=(1, 3))]), "Samples")
    assert [list(timeline.frames) for timeline in samples.timelines] == [[1, 3]]
    many = RunRecord.read(run(tmp_path / "many", grids=range(1, 2 * MAX_GRIDS + 1))).grids
    assert len(many) == MAX_GRIDS
    assert (min(many), max(many)) == (1, 2 * MAX_GRIDS)
    assert {later - sooner for sooner, later in pairwise(many)} == {2, 3}


def test_fid_by_epoch_is_drawn_if_it_was_measured(tmp_path):
    folder = run(tmp_path / "film")
    rows = [{"epoch": epoch, "quality/fid": math.nan} for epoch in (1, 2)]
    write_history(rows, folder / "history.csv")
    assert ("", "Sample quality") not in titles(run_report([folder]))
    write_history([row | {"quality/fid": 9.0, "quality/fid/ant": math.nan} for row in rows], folder / "history.csv")
    assert not section_of(run_report([folder]), "Sample quality").pictures[0].is_raster


def test_a_plot_with_an_svg_is_shown_as_svg(tmp_path):
    folder = run(tmp_path / "film", plots=("reliability",))
    (folder / "figures" / "reliability.svg").write_text(to_svg(curves(history(3))))
    assert not section_of(run_report([folder]), "Calibration").pictures[0].is_raster


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.yaml", "a: [1"),
        ("config.yaml", "text"),
        ("history.csv", "epoch,val/accuracy\n1,half\n"),
        ("metrics.json", '{"accuracy": 0.'),
        ("metrics.json", "[]"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, file, content):
    folder, other = run(tmp_path / "film"), run(tmp_path / "other")
    (folder / file).write_text(content)
    with pytest.raises(InputError, match=f"{file}: damaged"):
        run_report([folder, other])


def test_a_folder_without_a_run_and_a_run_named_twice_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: not a run folder, it contains no config.yaml, history.csv"):
        run_report([tmp_path / "empty"])
    with pytest.raises(InputError, match="film is named twice"):
        run_report([run(tmp_path / "film"), tmp_path / "empty" / ".." / "film"])
    with pytest.raises(ValueError, match="no folder"):
        run_report([])


# Several runs


def test_runs_that_were_measured_on_the_same_images_share_a_table_with_the_best_values_highlighted(tmp_path):
    one = run(tmp_path / "one", metrics=MEASURED | {"accuracy": 0.75, "nll": 0.9})
    two = run(tmp_path / "two", metrics=MEASURED | {"accuracy": 0.5, "nll": 0.3})
    table = section_of(run_report([one, two]), "Metrics").tables[0]
    keys = ("accuracy", "macro_f1", "nll", "brier", "ece", "bits_per_dim")
    assert table.columns == ["run", *(METRICS[key].heading for key in keys)]
    assert table.rows[0][:2] == ["one", "0.750 [0.400, 0.930]"]
    assert table.highlighted >= {(0, 1), (1, 3)}  # higher is better, lower is better
    assert (1, 1) not in table.highlighted
    assert {(0, 2), (1, 2)} <= table.highlighted  # equal values
    assert table.caption.startswith("Measured on zoo, test split, n = 8.")


def test_runs_that_were_measured_on_other_images_are_not_compared(tmp_path):
    one, two = run(tmp_path / "one"), run(tmp_path / "two", metrics=MEASURED | {"split": "validation"})
    tables = section_of(run_report([one, two]), "Metrics").tables
    assert [len(table.rows) for table in tables] == [1, 1, 2]
    assert not any(table.highlighted for table in tables)


def test_bits_per_dimension_of_other_levels_or_sizes_are_not_compared(tmp_path):
    one = run(tmp_path / "one")
    two = run(tmp_path / "two", metrics=MEASURED | {"levels": 256, "image_size": [32, 32], "bits_per_dim": 3.1})
    table = section_of(run_report([one, two]), "Metrics").tables[0]
    column = table.columns.index("bits per dimension")
    assert not {(0, column), (1, column)} & set(table.highlighted)
    assert (
        "Values of bits per dimension are not comparable, because they differ in levels and image size."
        in table.caption
    )


def test_runs_side_by_side_share_curves_a_slider_and_a_table_of_differing_fields(tmp_path):
    one = run(tmp_path / "one", filters=8, epochs=3, grids=(1, 3), quality=QUALITY)
    two = run(tmp_path / "two", filters=16, grids=(2,), quality=QUALITY | {"fid": 3.0})
    page = run_report([one, two])
    shared = {section.title: section for section in page.sections if section.part == "Side by side"}
    assert list(shared) == ["Metrics", "Sample quality", "Training", "Samples", "Configs"]
    assert [(each.title, list(each.frames)) for each in shared["Samples"].timelines] == [("one", [1, 3]), ("two", [2])]
    assert shared["Samples"].epochs == [1, 2, 3]
    assert shared["Sample quality"].tables[0].highlighted == {(1, 1), (0, 2), (1, 2)}
    assert shared["Metrics"].tables[-1].rows == [["one", "1,234", "3", "2", "1.5"], ["two", "1,234", "", "2", ""]]
    (configs,) = shared["Configs"].tables
    assert configs.rows == [["model.num_filters", "8", "16"]]
    assert configs.highlighted == {(0, 2)}
    assert all(not section.timelines for section in page.sections if section.part in ("one", "two"))  # shown once
    assert {part for part, _ in titles(page)} == {"Side by side", "one", "two"}


def test_equal_configs_are_reported_as_equal(tmp_path):
    page = run_report([run(tmp_path / "a" / "seed-0"), run(tmp_path / "b" / "seed-0")])
    assert page.summary == "a/seed-0\nb/seed-0"
    assert section_of(page, "Configs").text == "The configs are equal."


@pytest.mark.slow
def test_runs_side_by_side_fit_a_narrow_window_and_share_the_slider(browser, tmp_path):
    one = run(tmp_path / "one", quality=QUALITY, epochs=3, grids=(1, 3))
    two = run(tmp_path / ("two" * 30), grids=(1, 2), filters=16)
    tab = Tab(browser, run_report([one, two]), tmp_path, width=390)
    assert tab.overflow() <= 0
    assert tab.visible_epochs() == [3, 2]
    tab.get_by_role("slider").press("Home")
    assert tab.visible_epochs() == [1, 1]
    tab.close()


# Tables


def test_calibration_is_shown_before_and_after_temperature_scaling():
    after = {"temperature": 1.53, "source": "fitted on zoo, validation", "nll": 0.7, "nll_interval": [0.5, 0.9]}
    table = calibration_table(MEASURED | {"nll_interval": [0.6, 1.2], "ece_if_calibrated": 0.1, "calibrated": after})
    assert table.columns == ["posterior", "uncalibrated", "at temperature 1.530"]
    assert table.rows[0] == ["negative log-likelihood (nats)", "0.900 [0.600, 1.200]", "0.700 [0.500, 0.900]"]
    assert table.rows[2:] == [["expected calibration error", "0.120", ""], ["expected ECE if calibrated", "0.100", ""]]
    assert "fitted on zoo, validation" in table.caption
    assert calibration_table({"nll": None}) is None


def test_sample_quality_has_a_row_for_all_samples_and_for_each_class_and_the_reason_of_a_missing_value():
    table = quality_table(QUALITY)
    assert table.rows == [
        ["all", "50", "8", "4.31", "0.0132 ± 0.0040", "0.960 [0.870, 0.990]"],
        ["ant", "25", "6", "5.00", "0.0200 ± 0.0100", "0.920"],
        ["<cow>", "25", "1", "", "", "1.000"],
    ]
    assert table.caption.endswith("with the dedicated classifier 12ab34cd. one image")
    assert quality_table({}) is None


def test_memorization_compares_samples_with_held_out_images():
    table = memorization_table(QUALITY)
    assert table.rows == [["pixels", "0.410", "0.390", "0.220", "0.030"]]
    assert table.caption.endswith("Samples that equal a training image in every level: 0.")
    assert memorization_table({}) is None


def test_out_of_distribution_detection_has_a_row_for_each_score():
    scores = {"likelihood": {"auroc": 0.31, "auroc_interval": [0.2, 0.4], "n_in_distribution": 8, "n_ood": 9}}
    table = ood_table(MEASURED | {"ood": {"data": "moon", "split": "all", "scores": scores}})
    assert table.rows == [["likelihood", "0.310 [0.200, 0.400]"]]
    assert table.caption.startswith("Images of moon, all, compared with those of zoo, test.")
    assert ood_table(MEASURED) is None


def test_the_data_are_counted_by_split_class_and_duplicates():
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
