from xml.etree import ElementTree

import pytest
import torch

from pixelbayes.plots import curves, image_grid, save_figure
from pixelbayes.plots.overlay import overlaid_curves
from pixelbayes.plots.quality import quality_curves
from pixelbayes.plots.style import DARK, adaptive, holds_image, to_svg

HISTORY = [{"epoch": e, "val/bits_per_dim": 2 - e / 9, "val/accuracy": e / 9} for e in range(1, 5)]


def test_a_drawing_repeats_word_for_word_and_its_text_is_text(tmp_path):
    save_figure(curves(HISTORY), tmp_path / "curves.svg")
    written = (tmp_path / "curves.svg").read_text(encoding="utf-8")
    assert written == to_svg(curves(HISTORY))
    words = {
        "".join(text.itertext()) for text in ElementTree.fromstring(written).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {"epoch", "accuracy", "bits per dimension"} <= words


def test_a_figure_is_saved_as_its_suffix_says_and_as_nothing_else(tmp_path):
    with pytest.raises(ValueError, match=r"expected a name that ends in .png or .svg"):
        save_figure(curves(HISTORY), tmp_path / "curves.pdf")
    assert not any(tmp_path.iterdir())


def test_an_adaptive_drawing_is_xml_and_names_each_colour_of_the_style_in_its_rules_alone():
    drawn = adaptive(to_svg(curves(HISTORY)), "serif")
    ElementTree.fromstring(drawn)
    assert not any(colour in drawn.split("</style>", 1)[1] for colour in DARK)
    assert drawn.count("prefers-color-scheme: dark") == 1


def test_pixels_are_told_from_lines():
    assert holds_image(to_svg(image_grid(torch.zeros(1, 1, 1, 4, 4, dtype=torch.uint8), 2)))
    assert not holds_image(to_svg(curves(HISTORY)))


def test_several_runs_share_the_panels_that_any_of_them_has():
    rows = [{"epoch": 1, "val/accuracy": 0.5, "val/cross_entropy": 1.0}]
    figure = overlaid_curves({"one": [HISTORY], "two": [rows]})
    assert [axes.get_ylabel() for axes in figure.axes] == ["bits per dimension", "cross-entropy (nats)", "accuracy"]
    assert [len(axes.get_lines()) for axes in figure.axes] == [1, 1, 2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
    with pytest.raises(ValueError, match="none of val/bits_per_dim"):
        overlaid_curves({"one": [[{"epoch": 1}]]})


def test_quality_is_a_line_for_each_class_and_one_for_all_without_the_epochs_that_were_skipped():
    nan = float("nan")
    rows = [
        {"epoch": 1, "quality/fid": 9.0, "quality/fid/ant": 8.0, "quality/fid/bee": nan},
        {"epoch": 2, "quality/fid": nan, "quality/fid/ant": nan, "quality/fid/bee": nan},
        {"epoch": 3, "quality/fid": 5.0, "quality/fid/ant": 4.0, "quality/fid/bee": nan},
    ]
    (axes,) = quality_curves(rows).axes
    drawn = [line.get_xydata().tolist() for line in axes.get_lines() if len(line.get_xdata())]
    assert drawn == [[[1, 8.0], [3, 4.0]], [[1, 9.0], [3, 5.0]]]
    assert [text.get_text() for text in axes.texts] == ["ant"]
    with pytest.raises(ValueError, match="neither of quality/fid"):
        quality_curves([{"epoch": 1, "quality/fid": nan}])
