import csv
import io
import json
from dataclasses import replace

import pytest
import torch
from matplotlib.figure import Figure
from measured import SHAPE, measurement, trained_pixelcnn
from pages import Document

from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.evaluation.history import write_history
from pixelbayes.plots import PLOTS, Plot, confusion_matrix, registry
from pixelbayes.report import one_run, run_report
from pixelbayes.report.predictions import prediction_rows, submission_rows
from pixelbayes.report.results import clear_results, metrics_of, write_results
from pixelbayes.utils.files import csv_text

NAMES = ("ant", "giant bee, striped", "<cow>")
FOUND = measurement([0, 1, -1], [0, 2, 1], [0.9, 0.8, 0.7], NAMES)
UNLABELLED = measurement([-1, -1], [0, 2], [0.9, 0.8], NAMES)


@pytest.fixture
def trained():
    return replace(trained_pixelcnn(), class_names=NAMES, provenance=Provenance(epoch=7))


@pytest.fixture
def few_plots(monkeypatch):
    """Only two plots, because drawing all takes seconds."""
    few = {name: PLOTS[name] for name in ("samples", "confusion")}
    monkeypatch.setattr(registry, "PLOTS", few)
    monkeypatch.setattr(one_run, "PLOTS", few)


def write(folder, trained, found, **more):
    samples = torch.zeros(3, 2, *SHAPE.chw, dtype=torch.uint8)
    return write_results(folder, trained, found, source="zoo", split="test", samples=samples, **more)


def files_of(*names):
    return {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}


def drawn(folder):
    return {path.name for path in (folder / "figures").iterdir()}


def test_metrics_contain_what_is_needed_to_compare_them(trained):
    found = metrics_of(trained, measurement([0, 1], [0, 2], [0.9, 0.8], NAMES), "folder:zoo", "test")
    assert found["accuracy"] == 0.5
    assert (found["data"], found["split"], found["n"], found["epoch"]) == ("folder:zoo", "test", 2, 7)
    assert (found["levels"], found["image_size"], found["channels"], found["resize"]) == (5, [8, 12], 3, "crop")
    assert found["parameters"] == trained.num_parameters
    assert json.loads(json.dumps(found)) == found | {"accuracy_interval": list(found["accuracy_interval"])} | {
        "confusion": [list(row) for row in found["confusion"]]
    }


def test_predictions_have_a_row_for_each_image_with_every_class(trained):
    rows = prediction_rows(trained, measurement([0, -1], [0, 2], [0.9, 0.8], NAMES))
    assert rows[0][:3] == ["image", "label", "predicted"]
    assert rows[0][3:6] == ["p(ant | x)", "p(giant bee, striped | x)", "p(<cow> | x)"]
    assert rows[1][:6] == ["image 0", "ant", "ant", "0.9", "0.05", "0.05"]
    assert rows[2][:3] == ["image 1", "", "<cow>"]
    assert float(rows[1][6]) == pytest.approx(-300.105, abs=1e-3)  # log 0.9 - 300
    assert list(csv.reader(io.StringIO(csv_text(rows)))) == rows


@pytest.mark.parametrize(
    ("names", "ids"),
    [(("test/a.png", "test/b.png"), ["a.png", "b.png"]), (("x/a.png", "y/a.png"), ["x/a.png", "y/a.png"])],
)
def test_a_submission_has_the_file_names_or_the_paths_if_file_names_are_not_unique(names, ids):
    found = replace(UNLABELLED, split=replace(UNLABELLED.split, names=names))
    assert submission_rows(found, ("1", "2", "10")) == [["id", "label"], [ids[0], "1"], [ids[1], "10"]]


def test_the_files_of_a_measurement_agree_and_the_page_shows_all_plots(trained, tmp_path):
    history = [{"epoch": 7, "train/bits_per_dim": 2.0, "val/bits_per_dim": 2.1, "val/accuracy": 0.5}]
    write_history(history, tmp_path / "history.csv")
    write_history(
        [{"learning_rate": 0.1, "loss": 3.0}, {"learning_rate": 0.2, "loss": 2.0}], tmp_path / "range_test.csv"
    )
    (tmp_path / "config.yaml").write_text("seed: 0")
    trained = replace(trained, provenance=Provenance(epoch=7, config={"training": {"learning_rate": 0.2}}))
    metrics = write(tmp_path, trained, FOUND, command="pixelbayes train", facts={"device": "cpu"})
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] == metrics["accuracy"] == 0.5
    (row,) = csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())
    assert (row["accuracy"], row["bits_per_dim"], row["data"]) == ("0.5", "1.5", "zoo")
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 4
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["command"] == "pixelbayes train"
    assert about["facts"].keys() == {"device", "torch", "Python"}
    names = [name for name in PLOTS if name not in ("quality", "neighbours", "separation", "augmented")]
    assert drawn(tmp_path) == files_of(*names)
    page = (tmp_path / "index.html").read_text()
    images = [image["alt"] for image in Document(page).all("img")]
    assert images == [PLOTS[name].description for name in names]
    assert "&lt;cow&gt;" in page
    assert "seed: 0" in page


def test_a_new_plot_needs_a_function_and_an_entry(trained, tmp_path, few_plots, monkeypatch):
    def entropies(overview):
        log_p, figure = overview.measurement.log_posterior, Figure()
        figure.add_subplot(xlabel="entropy in nats").hist((-log_p.exp() * log_p).sum(dim=1).numpy())
        return figure

    plot = Plot(section="Uncertainty", description="A histogram.", caption="Entropies.", draw=entropies)
    monkeypatch.setitem(registry.PLOTS, "entropies", plot)
    write(tmp_path, trained, FOUND)
    assert files_of("entropies") < drawn(tmp_path)
    (section,) = [each for each in run_report([tmp_path]).sections if each.title == "Uncertainty"]
    assert [(each.description, each.caption) for each in section.pictures] == [("A histogram.", "Entropies.")]
    page = Document((tmp_path / "index.html").read_text())
    assert "A histogram." in [image["alt"] for image in page.all("img")]
    assert "Entropies." in page.text


@pytest.mark.usefixtures("few_plots")
def test_plots_of_an_earlier_measurement_are_removed(trained, tmp_path):
    more = {"separation": confusion_matrix(FOUND.classification), "augmented": None}
    write(tmp_path, trained, FOUND, plots=more)
    assert drawn(tmp_path) == files_of("samples", "confusion", "separation")
    assert write(tmp_path, trained, UNLABELLED)["accuracy"] is None
    assert (tmp_path / "index.html").read_text() == run_report([tmp_path]).html()
    assert drawn(tmp_path) == files_of("samples")
    assert "Accuracy" not in (tmp_path / "index.html").read_text()


@pytest.mark.usefixtures("few_plots")
def test_clearing_removes_only_the_results(trained, tmp_path):
    write(tmp_path, trained, FOUND, more={"ood": None})
    kept = {"samples/ant-0000.png", "notes.txt", "figures/notes.txt"}
    for name in kept:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    clear_results(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == kept
    clear_results(tmp_path / "nowhere")
