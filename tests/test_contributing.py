"""CONTRIBUTING.md is right: its recipes are executed, and what they add passes the tests of what is there."""

import inspect
import json
import re
import tomllib
from pathlib import Path
from unittest.mock import patch

import pytest
import test_fusion
import test_pixelcnn
import torch
import yaml
from networks import every_image, random_images, randomised, tiny_model
from test_docs import anchors, links

import pixelbayes
from pixelbayes.data.loading import SOURCES
from pixelbayes.images.pixels import to_level, to_x
from pixelbayes.metrics.registry import METRICS
from pixelbayes.models.fusion import FUSIONS
from pixelbayes.models.likelihood import LIKELIHOODS
from pixelbayes.plots.registry import PLOTS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
TEXT = PAGE.read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

FORMS = ["echo", "echo:mlp=one-hot", "one-hot-map+echo+output-concat"]
TYPICAL = {"film", "adaln", "gate-add", "after-block", "output-concat"}


def recipe(heading):
    """The Python blocks below a heading."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def execute(*blocks):
    names = {"__name__": "recipe"}
    for block in blocks:
        exec(block, names)
    return names


def of_every_fusion(module):
    """The tests of a module that run over all fusions and need nothing else."""
    for name, test in inspect.getmembers(module, inspect.isfunction):
        marks = [mark for mark in getattr(test, "pytestmark", []) if mark.args[0] == "fusion"]
        if name.startswith("test_") and list(inspect.signature(test).parameters) == ["fusion"]:
            yield from (test for mark in marks if set(mark.args[1]) >= TYPICAL)


CHECKS = list(of_every_fusion(test_fusion))

# The page


@pytest.mark.parametrize(
    "document", [PAGE, ROOT / "RELEASING.md", *sorted((ROOT / "docs" / "api").glob("*.md"))], ids=lambda path: path.name
)
def test_every_link_leads_somewhere(document):
    for target in links(document):
        path, _, anchor = target.partition("#")
        linked = document.parent / path if path else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_the_rooms_are_listed_in_the_order_of_the_import_rule():
    (contract,) = [one for one in PYPROJECT["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    rooms = [layer.removeprefix("pixelbayes.") for layer in contract["layers"]]
    listed = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
    assert listed == [room for room in rooms if room not in ("__main__", "version")]


def test_every_target_of_make_that_it_names_exists():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"^make ([a-z]+)|`make ([a-z]+)`", TEXT, re.MULTILINE)
    assert {"setup", "test", "lint", "docs", "help"} <= {one or other for one, other in named} <= set(targets)


# A fusion


@pytest.fixture
def echo():
    """The class of the recipe; it is registered as long as the test runs."""
    with patch.dict(FUSIONS):
        yield execute(*recipe("Add a fusion")[:2])["Echo"]


def test_a_fusion_is_one_class_and_one_line_and_not_in_the_package(echo):
    definition, line, _ = recipe("Add a fusion")
    assert len(re.findall("^class ", definition, re.MULTILINE)) == 1
    assert line.strip().splitlines()[-1] == 'FUSIONS["echo"] = Echo'
    assert FUSIONS.pop("echo") is echo
    assert echo not in FUSIONS.values()
    assert len(CHECKS) >= 4  # because pytest skips a test without parameters


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("fusion", FORMS)
@pytest.mark.parametrize("check", CHECKS)
def test_the_fusion_passes_the_tests_of_every_fusion(check, fusion):
    check(fusion)


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("fusion", FORMS)
def test_the_fusion_is_causal_without_a_blind_spot_and_has_total_probability_one(fusion):
    for size, num_blocks in (((7, 10), 1), ((8, 12), 2)):
        test_pixelcnn.test_a_pixel_depends_on_all_of_its_past_and_nothing_else(fusion, size, num_blocks)
    test_pixelcnn.test_all_images_have_total_probability_one_under_every_label(fusion, test_pixelcnn.COUNTABLE[0])


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("fusion", ["echo", "echo:mlp=one-hot", "film+echo"])
def test_training_with_the_fusion_starts_exactly_from_the_unconditional_network(fusion):
    test_fusion.test_training_starts_exactly_from_the_unconditional_network(fusion)


@pytest.mark.usefixtures("echo")
def test_the_fusion_learns_the_difference_between_the_classes():
    model = tiny_model("echo", dropout=0.0).float()
    label = torch.arange(12) % 3
    pixels = random_images(12, model.config) % 3 + label.view(-1, 1, 1, 1).to(torch.uint8)  # a shade for each class
    x = to_x(pixels, model.config.image_shape.levels)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = -model.log_prob(x, label).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    with torch.no_grad():
        assert model.log_prob(x, label).mean() > model.log_prob(x, (label + 1) % 3).mean()


@pytest.mark.slow
def test_the_run_of_the_recipe_learns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with patch.dict(FUSIONS):
        metrics = execute(*recipe("Add a fusion"))["metrics"]
    history = (tmp_path / "runs" / "echo" / "history.csv").read_text(encoding="utf-8").splitlines()
    column = history[0].split(",").index("val/bits_per_dim")
    first, last = (float(row.split(",")[column]) for row in (history[1], history[-1]))
    assert len(history) == 3
    assert last < first
    assert metrics["accuracy"] > 0.2  # well above chance, 0.1


# A likelihood


@pytest.fixture
def normal():
    with patch.dict(LIKELIHOODS):
        yield execute(*recipe("Add a likelihood"))["DiscretisedNormal"]


@pytest.mark.usefixtures("normal")
@pytest.mark.parametrize(("channels", "levels"), [(3, 2), (1, 5)])
def test_all_images_have_total_probability_one_under_the_likelihood(channels, levels):
    model = randomised(tiny_model(likelihood="normal", channels=channels, levels=levels, image_size=(1, 2)))
    images = every_image(model.config)
    total = model.log_prob(images, torch.zeros(len(images), dtype=torch.long)).exp().sum()
    torch.testing.assert_close(total.item(), 1.0, rtol=0, atol=1e-10)


def test_the_sampler_draws_each_level_with_its_probability_under_the_likelihood(normal):
    params = torch.tensor([0.2, -0.3, 0.0, -1.0, -0.5, 0.1], dtype=torch.float64).view(1, 6, 1, 1)
    noise = ((torch.arange(1000).double() + 0.5) / 1000).view(-1, 1, 1, 1).expand(-1, 3, -1, -1)
    likelihood = normal(params.expand(1000, -1, -1, -1), 3, 4)
    x = likelihood.sample(noise)
    for colour, level in enumerate(to_level(x, 4).flatten(1).unbind(1)):
        expected = likelihood.colour_log_prob(colour, x)[0, 0, 0].exp()
        torch.testing.assert_close(level.bincount(minlength=4) / 1000, expected.float(), rtol=0, atol=2e-3)


# A source of images


def test_the_source_is_read_and_divided_into_splits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with patch.dict(SOURCES):
        names = execute(*recipe("Add a source of images"))
    data = names["data"]
    assert data.class_names == ("disc", "ring")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 28, "validation": 6, "test": 6}
    for split in data.splits.values():
        for pixels, label, name in zip(split.pixels, split.labels, split.names, strict=True):
            number = int(name.rpartition("/")[2])
            assert torch.equal(pixels, names["images"][number])
            assert data.class_names[label] == ["disc", "ring"][number % 2]


# A metric and a plot


def test_balanced_accuracy_is_the_mean_recall():
    (definition, *_) = recipe("Add a metric")
    metric = execute(definition)["balanced_accuracy"]
    log_posterior = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]], dtype=torch.float64).log()
    assert metric(log_posterior, torch.tensor([0, 0, 0, 1])) == pytest.approx((2 / 3 + 0) / 2)
    assert metric(log_posterior, torch.tensor([0, 0, 1, 1])) == pytest.approx((1 + 1 / 2) / 2)


def test_the_margins_are_those_between_the_two_largest_probabilities():
    (definition, *_) = recipe("Add a plot")
    figure = execute(definition)["margins"](torch.tensor([[0.52, 0.3, 0.18], [0.02, 0.97, 0.01]]))
    heights = {round(bar.get_x(), 2): bar.get_height() for bar in figure.axes[0].patches}
    assert {left: height for left, height in heights.items() if height} == {0.2: 1, 0.95: 1}


@pytest.mark.slow
def test_an_evaluation_contains_the_new_metric_and_the_new_plot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    *plot, evaluation = recipe("Add a plot")
    *metric, same = recipe("Add a metric")
    assert evaluation.splitlines()[-1].startswith(same.splitlines()[-1].partition("  #")[0])
    with patch.dict(METRICS), patch.dict(PLOTS):
        execute(*plot, *metric, evaluation)
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["balanced_accuracy"] == pytest.approx(metrics["accuracy"], abs=0.02)
    assert (tmp_path / "evaluation" / "figures" / "margins.png").is_file()
    page = (tmp_path / "evaluation" / "index.html").read_text(encoding="utf-8")
    assert "Balanced accuracy" in page
    assert "Histogram of the margins between the two most probable classes." in page


# The files around the package


def test_the_versions_of_a_release_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == pixelbayes.__version__


def test_ruff_has_the_same_version_everywhere():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (revision,) = [repo["rev"] for repo in hooks["repos"] if repo["repo"].endswith("ruff-pre-commit")]
    assert f"ruff=={revision.removeprefix('v')}" in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("room", ["metrics", "plots", "models", "models/fusion", "models/likelihood", "data/sources"])
def test_every_module_of_a_room_that_a_recipe_extends_is_in_the_api_reference(room):
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "api").glob("*.md"))
    names = {path.stem for path in (ROOT / "pixelbayes" / room).glob("*.py")} - {"__init__"}
    modules = {f"pixelbayes.{room.replace('/', '.')}.{name}" for name in names}
    assert names
    assert modules <= set(re.findall(r"automodule:: (\S+)", pages))
