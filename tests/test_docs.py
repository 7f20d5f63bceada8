import contextlib
import doctest
import re
import runpy
import shlex
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from pixelbayes.cli import main
from pixelbayes.cli.parser import Parser
from pixelbayes.experiments.presets import DIGITS, PRESETS
from pixelbayes.images.shape import ImageShape
from pixelbayes.models.fusion import FUSIONS
from pixelbayes.models.pixelcnn import Architecture, PixelCNN, PixelCNNConfig
from pixelbayes.utils.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EVALUATION = ROOT / "docs" / "evaluation.md"
THEORY = ROOT / "docs" / "theory.md"

CODE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"""\]\(([^)\s]+)\)|(?:src|href)="([^"]+)\"""")
documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def prose(document):
    return CODE.sub("", document.read_text(encoding="utf-8"))


def links(document):
    """Targets of the links and pictures that point into the repository."""
    targets = [one or other for one, other in LINK.findall(prose(document))]
    return [target for target in targets if not re.match(r"\w+:", target)]


def anchors(document):
    """What GitHub calls the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@documents
def test_every_example_gives_what_it_says(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = document.read_text(encoding="utf-8")
    code = [
        "\n" * text.count("\n", 0, block.start(2)) + block[2] for block in CODE.finditer(text) if block[1] == "python"
    ]
    names = {}  # the blocks of a document are one session
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for block in code:
        test = doctest.DocTestParser().get_doctest(block, names, document.name, str(document), 0)
        runner.run(test, clear_globs=False)
        names = test.globs
    assert runner.summarize(verbose=False).failed == 0


def lines_of_python(document, section=""):
    """The blocks of Python without a prompt in a document, or in one section of it."""
    text = document.read_text(encoding="utf-8")
    text = text.partition(section)[2].partition("\n## ")[0] if section else text
    return [block[2] for block in CODE.finditer(text) if block[1] == "python" and ">>>" not in block[2]]


@pytest.mark.slow
def test_the_lines_of_python_in_readme_and_usage_run_and_give_what_they_say(without_plots, monkeypatch):
    tiny = Architecture(num_filters=4, num_mixtures=2)
    monkeypatch.setitem(PRESETS, "best", replace(DIGITS, model=tiny, training=replace(DIGITS.training, epochs=1)))
    load, train = lines_of_python(ROOT / "README.md")
    names = {}
    exec(load, names)
    assert names["pixels"].shape == (4, 3, 32, 32)
    assert names["names"] == ["koala"] * 4
    assert names["posterior"].shape == (4, 4)
    names |= {"X": names["pixels"].repeat(3, 1, 1, 1), "y": ["koala", "panda"] * 6}
    exec(train.replace('budget="4h"', "epochs=1"), names)
    assert names["images"].shape == (16, 32, 32, 3)
    assert names["posterior"].shape == (12, 2)

    names = {}
    for block in lines_of_python(ROOT / "docs" / "usage.md", "\n## Use it from Python\n"):
        exec(block, names)
    trained = names["trained"]
    assert names["classifier"].predict(names["x"]).tolist() == [trained.label("koala")] * 4


def commands(document):
    """The command lines of pixelbayes in the code blocks of a document."""
    blocks = "".join(block[2] for block in CODE.finditer(document.read_text(encoding="utf-8")) if block[1] != "python")
    lines = blocks.replace("\\\n", " ").splitlines()
    return [shlex.split(line.partition(" > ")[0], comments=True) for line in lines if line.startswith("pixelbayes ")]


@documents
def test_every_command_line_has_valid_options(document, tmp_path, monkeypatch, capsys):
    class ParsedError(Exception):
        """Ends a command whose options are valid before it does anything."""

    def parse(parser, arguments):
        original(parser, arguments)
        raise ParsedError

    original = Parser.parse_args
    monkeypatch.setattr(Parser, "parse_args", parse)
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("seed: 1\n")  # a document writes it with --print-config
    for run in {path for command in commands(document) for path in command if path.startswith("runs/")}:
        config = RunFolder(Path(run)).config  # so that it can be resumed
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text("seed: 0\n")
    for _, *arguments in commands(document):
        with contextlib.suppress(ParsedError):
            status = main([argument for argument in arguments if argument != "..."])  # "..." stands for other options
            pytest.fail(f"{shlex.join(arguments)} ends with {status}: {capsys.readouterr().err}")


def test_the_theory_has_examples_to_run():
    assert THEORY.read_text(encoding="utf-8").count(">>> ") > 10


@documents
def test_every_link_leads_somewhere(document):
    for target in links(document):
        path, _, anchor = target.partition("#")
        linked = document.parent / path if path else document
        assert linked.exists(), f"{document.name} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{document.name} links to {target}"


def test_the_table_of_fusions_is_complete_and_has_the_numbers_of_parameters():
    rows = re.findall(r"^\| `([\w-]+)` \|(.+)\|$", prose(THEORY), re.MULTILINE)
    stated = {name: int(cells.split("|")[3]) for name, cells in rows}
    counted = {}
    for name in FUSIONS.keys() - {"none"}:
        shape = ImageShape(height=32, width=32)
        network = PixelCNN(PixelCNNConfig(num_classes=4, image_shape=shape, fusion=name, num_filters=160))
        counted[name] = sum(weight.numel() for weight in network.fusion.parameters())
    assert stated == counted


@pytest.fixture
def script():
    """docs/make_pictures.py, with networks that are hardly trained; nothing here depends on what they learn."""
    names = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))
    with patch.dict(names["trained_briefly"].__globals__, TRAINING_STEPS=3):
        yield names


@pytest.mark.slow
def test_the_pictures_of_the_theory_can_be_drawn_again(script, tmp_path):
    script["main"](tmp_path)
    drawn = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert drawn.keys() == {Path(target).name for target in links(THEORY) if target.endswith(".png")}
    assert max(drawn.values()) < 100_000  # bytes: a page that opens at once


@pytest.mark.slow
def test_the_picture_of_what_comes_with_the_package_can_be_drawn_again(script, tmp_path):
    script["main"](tmp_path, script["BUNDLED"])
    drawn = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert drawn.keys() <= {Path(target).name for target in links(ROOT / "README.md")}
    assert max(drawn.values()) < 400_000


@pytest.mark.slow
def test_the_pictures_of_the_evaluation_can_be_drawn_again(script, tmp_path):
    script["main"](tmp_path, script["EVALUATION"])
    drawn = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert drawn.keys() <= {Path(target).name for target in links(EVALUATION)}  # which shows one of the theory's too
    assert max(drawn.values()) < 100_000
