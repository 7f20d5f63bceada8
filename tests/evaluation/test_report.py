import base64
import re
import shutil
from html import unescape
from html.parser import HTMLParser

import pytest
import torch

from pixelbayes.evaluation.classification import Classification
from pixelbayes.evaluation.figures import confusion_matrix, curves, image_grid, posteriors
from pixelbayes.evaluation.page import Card, Listing, Page, Picture, Section, Table
from pixelbayes.evaluation.report import data_table, run_page

EVIL = "<b>&"
NAMES = [EVIL, "giant panda", "a" * 60]
VOID = {"br", "hr", "img", "link", "meta"}


class Document(HTMLParser):
    """Reads a page, and fails on the first tag that does not close as it should."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def example_page():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, 8, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels, guesses = torch.randint(0, 3, (2, 90), generator=generator)
    predicted = torch.where(torch.rand(90, generator=generator) < 0.7, labels, guesses)
    result = Classification.of(predicted, labels, NAMES)
    log_probs = -9400 + 3 * torch.randn(8, 3, generator=generator)
    history = [{"epoch": e, "train/bits_per_dim": 6 - e / 5, "val/bits_per_dim": 6 - e / 6} for e in range(9)]
    return run_page(
        title=f"A run {EVIL}",
        summary=f"Trained on {EVIL}.",
        split="validation",
        bits_per_dim=4.5678,
        levels=256,
        image_size=(32, 48),
        resize="bilinear, antialiased",
        num_images=90,
        classification=result,
        data=data_table({"train": {EVIL: 1200, NAMES[1]: 7}, "test": {"no label": 519}}, {"train": 12}),
        curves=curves(history, best_epoch=8),
        samples=image_grid(pixels, 256, NAMES),
        confusion=confusion_matrix(result),
        posteriors=posteriors(pixels[0], 256, log_probs.softmax(1), NAMES, labels[:8], log_probs),
        config_text=f"name: {EVIL}\n" + "long: " + "x" * 300,
        command=f"pixelbayes train --name '{EVIL}' --out " + "runs/" * 40,
        facts={"torch": "2.6.0", "device": "cpu", EVIL: "f" * 200},
    )


@pytest.fixture(scope="module")
def page():
    return example_page()


@pytest.fixture(scope="module")
def html(page):
    return page.html()


def test_the_page_is_well_formed_and_every_id_is_unique(html):
    document = Document(html)
    ids = [attributes["id"] for _, attributes in document.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"].removeprefix("#") for a in document.all("a")} <= set(ids)
    assert len(document.all("h1")) == 1


def test_everything_that_was_given_is_escaped(html):
    document = Document(html)
    assert EVIL not in html
    assert not document.all("b")
    assert document.text.count(EVIL) >= 7  # title twice, summary, table, table, facts, command, config


def test_the_headline_says_how_sure_we_are_and_what_the_bits_mean(page, html):
    text = re.sub(r"\s+", " ", Document(html).text)
    result = page.cards[0]
    assert (result.name, page.cards[1].name) == ("Accuracy", "Macro F1")
    assert re.search(r"95% interval 0\.\d{3} to 0\.\d{3}, validation, n = 90", text)
    assert "4.568" in text
    assert "256 levels, 32x48 pixels, bilinear, antialiased" in text


def test_the_page_holds_all_it_shows_and_refers_to_nothing_outside(page, html):
    document = Document(html)
    for _, attributes in document.tags:
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    assert not document.all("script")
    assert not re.search(r"url\(|@import", html)
    embedded = [base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) for image in document.all("img")]
    assert embedded == [picture.png for section in page.sections for picture in section.pictures]
    assert len(embedded) == 4
    assert all(image["alt"] for image in document.all("img"))


def test_tables_say_what_their_rows_and_columns_are_and_scroll_in_a_named_box(html):
    document = Document(html)
    assert {th["scope"] for th in document.all("th")} == {"row", "col"}
    boxes = [div for div in document.all("div") if div.get("class") == "table"]
    assert len(boxes) == len(document.all("table")) == 3
    assert all(box["aria-label"] and box["tabindex"] == "0" for box in boxes)


def test_command_and_config_can_be_copied_as_they_were(page, html):
    listings = [unescape(text) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", html, flags=re.DOTALL)]
    assert listings == [listing.text for listing in page.sections[-1].listings]
    assert len(Document(html).all("details")) == 1  # the config, folded


def test_a_run_without_labels_has_a_page_without_accuracy():
    page = run_page(
        title="t", summary="", split="test", bits_per_dim=4.5, levels=16, image_size=(8, 8), resize="none",
        num_images=5, config_text="a: 1", command="pixelbayes", facts={},
    )  # fmt: skip
    text = Document(page.html()).text
    assert [card.name for card in page.cards] == ["Bits per dimension", "Images"]
    assert [section.title for section in page.sections] == ["How to repeat it"]
    assert "Accuracy" not in text


def test_other_pages_can_be_built_of_the_same_parts(tmp_path):
    picture = Picture.of(image_grid(torch.zeros(1, 2, 1, 4, 4, dtype=torch.uint8), 2), "Two black squares.")
    page = Page(
        "Two runs",
        cards=[Card("Best", "0.9")],
        sections=[
            Section("Both", "Side by side.", [picture, picture], [Table([["a", "1"]], columns=["run", "bits"])]),
            Section("Config", listings=[Listing("a: 1", "One"), Listing("a: 2", "Two", folded=True)]),
        ],
    )
    page.write(tmp_path / "deep" / "index.html")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["index.html"]
    document = Document((tmp_path / "deep" / "index.html").read_text(encoding="utf-8"))
    assert [(image["width"], image["height"]) for image in document.all("img")] == [tuple(map(str, picture.size))] * 2
    assert picture.size == (148, 80)  # two tiles of 128, a gap of 8, margins of 16: halved


def test_a_data_table_counts_splits_classes_and_duplicates():
    table = data_table({"train": {"cat": 1200, "dog": 3}, "test": {"no label": 5}}, {"train": 2})
    assert table.columns == ["class", "train", "test"]
    assert table.rows == [
        ["cat", "1,200", "0"],
        ["dog", "3", "0"],
        ["no label", "0", "5"],
        ["all", "1,203", "5"],
        ["duplicates", "2", "0"],
    ]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_opens_the_page_alone_without_complaint_and_within_its_width(page, tmp_path, scheme, width):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the PATH")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    page.write(tmp_path / "index.html")
    complaints, requests = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("requestfailed", lambda request: complaints.append(request.url[:80]))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto((tmp_path / "index.html").as_uri())
        tab.evaluate("document.querySelector('details').open = true")
        overflow = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        loaded = tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        boxes = tab.evaluate(
            "[...document.querySelectorAll('.picture')].map(box => getComputedStyle(box).backgroundColor)"
        )
        browser.close()
    assert complaints == []
    assert all(url.startswith(("file:", "data:")) for url in requests)
    assert overflow <= 0
    assert loaded
    assert (max(map(int, re.findall(r"\d+", paper))) < 64) == (scheme == "dark")
    assert set(boxes) == {"rgb(255, 255, 255)"}  # figures are drawn on white
