from xml.etree import ElementTree

import matplotlib
import pytest
import torch
from matplotlib import pyplot

from pixelbayes.plots import curves, image_grid, save_figure, to_png, to_svg
from pixelbayes.plots.style import DARK, adaptive, contains_image

HISTORY = [{"epoch": e, "val/accuracy": e / 9} for e in range(1, 5)]


def test_figures_do_not_change_the_global_state_of_matplotlib():
    before = dict(matplotlib.rcParams)
    to_png(curves(HISTORY))
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_saved_figures_are_reproducible(tmp_path):
    for suffix in (".png", ".svg"):
        save_figure(curves(HISTORY), tmp_path / "figures" / f"curves{suffix}")
    assert (tmp_path / "figures" / "curves.png").read_bytes() == to_png(curves(HISTORY))
    assert (tmp_path / "figures" / "curves.svg").read_text(encoding="utf-8") == to_svg(curves(HISTORY))
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["curves.png", "curves.svg"]


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a name that ends in .png or .svg"):
        save_figure(curves(HISTORY), tmp_path / "curves.pdf")
    assert not any(tmp_path.iterdir())


def test_the_text_of_an_svg_is_text_and_each_colour_of_an_adaptive_one_is_in_its_rules_only():
    svg = to_svg(curves(HISTORY))
    elements = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    assert {"epoch", "accuracy"} <= {"".join(text.itertext()) for text in elements}
    drawn = adaptive(svg, "serif")
    ElementTree.fromstring(drawn)
    assert not any(colour in drawn.split("</style>", 1)[1] for colour in DARK)
    assert drawn.count("prefers-color-scheme: dark") == 1
    assert not contains_image(drawn)


def test_names_are_not_interpreted_as_mathematics_and_images_are_detected():
    figure = image_grid(torch.zeros(2, 1, 1, 4, 4, dtype=torch.uint8), 2, ["$5_bill$", r"\frac{"])
    assert contains_image(to_svg(figure))


def test_letters_that_the_font_lacks_are_text_in_an_svg_and_nothing_is_printed():  # because a warning is an error
    figure = image_grid(torch.zeros(2, 1, 1, 4, 4, dtype=torch.uint8), 2, ["猫", "dog"])
    assert to_png(figure)
    assert "猫" in to_svg(figure)
