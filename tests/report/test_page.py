import base64
import re
from functools import cache
from hashlib import sha256
from html import unescape

import pytest
import torch
from pages import Document, Tab

from pixelbayes.plots import curves, image_grid
from pixelbayes.plots.style import BLUE, DARK, INK
from pixelbayes.report.page import Card, CodeBlock, Page, Picture, Section, Table, Timeline, in_part

EVIL = "<b>&"


@cache
def drawing():
    return Picture.of(curves([{"epoch": e, "val/accuracy": e / 9} for e in range(9)]), f"Curves {EVIL}.", "A caption.")


@cache
def squares():
    return Picture.of(image_grid(torch.zeros(1, 2, 1, 4, 4, dtype=torch.uint8), 2), f"Squares {EVIL}.")


def timelines(*epochs):
    """A section with a timeline for each tuple of epochs."""
    found = [Timeline({epoch: squares() for epoch in each}, f"run {each}") for each in epochs]
    return Section("Timelines", timelines=found)


def example(*sections):
    return Page(
        f"A run {EVIL}",
        summary=f"Trained on {EVIL}.",
        cards=[Card("Accuracy", "0.912", "95% interval 0.870 to 0.941")],
        sections=[
            Section(f"Pictures {EVIL}", pictures=[drawing(), squares()]),
            Section(
                "Numbers",
                f"Of {EVIL}.",
                cards=[Card("FID", "4.1")],
                tables=[
                    Table([[EVIL, "1"], ["b", "2"]], ["class", "images"], f"By {EVIL}.", highlighted={(1, 1)}),
                    Table([["device", "f" * 200]], numeric=False),
                ],
            ),
            Section("Again", code=[CodeBlock(f"a: {EVIL}", "Command"), CodeBlock("x" * 300, "Config", folded=True)]),
            *sections,
        ],
        footer=f"pixelbayes {EVIL}",
    )


def policy(document):
    (found,) = (meta["content"] for meta in document.all("meta") if "http-equiv" in meta)
    return found


def test_the_page_is_well_formed_and_links_to_unique_ids():
    document = Document(example(timelines((1, 2), (2, 3))).html())
    ids = [attributes["id"] for _, attributes in document.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"].removeprefix("#") for a in document.all("a")} <= set(ids)
    assert len(document.all("h1")) == 1


def test_all_content_is_escaped():
    html = example(timelines((1, 2))).html()
    document = Document(html)
    assert EVIL not in html
    assert not document.all("b")
    assert document.text.count(EVIL) == 10  # title and heading twice; summary, text, caption, cell, command, footer


def test_the_page_contains_everything_and_refers_to_nothing_outside():
    html = example(timelines((1, 2))).html()
    document = Document(html)
    for _, attributes in document.tags:
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    assert not re.search(r"url\(|@import", html)
    assert len(document.all("img")) == 4
    assert all(image["alt"] for image in document.all("img"))


def test_only_a_page_with_a_slider_has_a_script_and_the_policy_allows_it_by_its_hash():
    still = Document(example(timelines((3,))).html())
    assert not still.all("script")
    assert not still.all("input")
    assert "script" not in policy(still)
    html = example(timelines((3, 4))).html()
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    assert policy(Document(html)) == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


def test_a_drawing_follows_the_colour_scheme_and_a_picture_with_pixels_is_shown_on_white():
    plot, pixels = drawing(), squares()
    assert not plot.is_raster
    assert pixels.is_raster
    assert base64.b64decode(pixels.uri.removeprefix("data:image/png;base64,")) == pixels.png
    svg = base64.b64decode(plot.uri.removeprefix("data:image/svg+xml;base64,")).decode()
    light, dark = svg.split("prefers-color-scheme: dark", 1)
    assert f"--c{BLUE[1:]}: {BLUE}" in light
    assert f"--c{BLUE[1:]}: {DARK[BLUE]}" in dark
    drawn = dark.split("</style>", 1)[1]
    assert f"var(--c{BLUE[1:]})" in drawn
    assert INK not in drawn
    boxes = [div for div in Document(example().html()).all("div") if "picture" in div.get("class", "")]
    assert [box["class"] for box in boxes] == ["picture", "picture raster"]


def test_a_picture_is_read_with_or_without_an_svg(tmp_path):
    plot = drawing()
    (tmp_path / "a.png").write_bytes(plot.png)
    assert Picture.read(tmp_path / "a.png", "Curves.").is_raster
    (tmp_path / "a.svg").write_text(plot.svg, encoding="utf-8")
    assert Picture.read(tmp_path / "a.png", plot.description, plot.caption) == plot


def test_tables_have_scopes_and_scroll_in_a_named_region():
    html = example().html()
    document = Document(html)
    assert {th["scope"] for th in document.all("th")} == {"row", "col"}
    boxes = [div for div in document.all("div") if div.get("class") == "table"]
    assert len(boxes) == len(document.all("table")) == 2
    assert all(box["aria-label"] and box["tabindex"] == "0" for box in boxes)
    assert re.findall(r"<mark>(.*?)</mark>", html) == ["2"]


def test_code_can_be_copied_without_changes():
    page = example()
    blocks = [unescape(text) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", page.html(), flags=re.DOTALL)]
    assert blocks == [block.text for block in page.sections[-1].code]
    assert len(Document(page.html()).all("details")) == 1  # the config is folded


def test_a_page_is_written_to_one_file_and_its_images_have_sizes_in_css_pixels(tmp_path):
    picture = squares()
    Page("t", sections=[Section("s", pictures=[picture], gallery=True)]).write(tmp_path / "deep" / "index.html")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["index.html"]
    (image,) = Document((tmp_path / "deep" / "index.html").read_text(encoding="utf-8")).all("img")
    assert (image["width"], image["height"]) == tuple(map(str, picture.size))
    assert picture.size == (148, 80)  # half of two tiles of 128, a gap of 8 and margins of 16


def test_without_a_script_the_last_picture_of_each_timeline_is_shown_and_no_slider():
    document = Document(example(timelines((1, 5), (2, 3, 4))).html())
    shown = [image["data-epoch"] for image in document.all("img") if "data-epoch" in image and "hidden" not in image]
    assert shown == ["5", "4"]
    (slider,) = [div for div in document.all("div") if div.get("class") == "slider"]
    assert "hidden" in slider
    (handle,) = document.all("input")
    assert handle["data-epochs"] == "1 2 3 4 5"


def test_a_slider_with_many_positions_has_labels_at_its_ends_only():
    assert timelines(range(3, 15)).ticks == list(range(3, 15))
    assert timelines(range(3, 30)).ticks == [3, 29]


def test_parts_keep_the_order_of_their_sections_and_empty_sections_are_left_out():
    sections = in_part("one", [Section("a", "t"), Section("empty"), Section("b", "t")])
    page = Page("t", sections=[*sections, *in_part("two", [Section("c", "t")])])
    assert [(part, [(n, s.title) for n, s in group]) for part, group in page.parts] == [
        ("one", [(1, "a"), (2, "b")]),
        ("two", [(3, "c")]),
    ]


# In a browser


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_opens_offline_without_errors_and_fits_the_window(browser, tmp_path, scheme, width):
    tab = Tab(browser, example(timelines((1, 2), (2, 3))), tmp_path, width, scheme)
    tab.evaluate("document.querySelector('details').open = true")
    assert tab.overflow() <= 0
    assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", paper))) < 64) == (scheme == "dark")
    boxes = tab.evaluate("[...document.querySelectorAll('.raster')].map(box => getComputedStyle(box).backgroundColor)")
    assert set(boxes) == {"rgb(255, 255, 255)"}
    corner = tab.evaluate("""() => {
        const image = document.querySelector('.picture:not(.raster) img'), canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.width, image.height];
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        return [...context.getImageData(2, 2, 1, 1).data].slice(0, 3);
    }""")
    assert max(corner) < 64 if scheme == "dark" else corner == [255, 255, 255]  # a drawing follows the scheme
    tab.close()


@pytest.mark.slow
def test_the_slider_selects_the_latest_picture_of_each_timeline(browser, tmp_path):
    tab = Tab(browser, example(timelines((1, 5, 9), (5, 6))), tmp_path)
    slider = tab.get_by_role("slider", name="Epoch")
    assert tab.visible_epochs() == [9, 6]
    slider.press("Home")
    assert tab.visible_epochs() == [1, 5]  # the second timeline has no earlier picture
    slider.press("ArrowRight")
    assert tab.visible_epochs() == [5, 5]
    assert slider.get_attribute("aria-valuetext") == "epoch 5"
    box = slider.bounding_box()
    slider.click(position={"x": box["width"] * 2 / 3, "y": box["height"] / 2})
    assert tab.visible_epochs() == [5, 6]
    assert tab.locator(".slider output").inner_text() == "6"
    assert tab.locator("figcaption output").all_inner_texts() == ["5", "6"]
    tab.close()


@pytest.mark.slow
def test_without_javascript_the_slider_is_invisible(browser, tmp_path):
    tab = Tab(browser, example(timelines((1, 5), (5, 6))), tmp_path, java_script_enabled=False)
    assert not tab.locator(".slider").is_visible()
    images = tab.locator(".timelines img:not([hidden])")
    assert [image.get_attribute("data-epoch") for image in images.all()] == ["5", "6"]
    tab.close()
