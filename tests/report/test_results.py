import csv
import io
import json
from dataclasses import replace

import pytest
import torch
from matplotlib.text import Text
from networks import random_images, tiny_model

from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.data import Split
from pixelbayes.evaluation.history import write_history
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.metrics.calibration import Calibration
from pixelbayes.metrics.classification import Classification
from pixelbayes.plots import confusion_matrix
from pixelbayes.plots.overview import handful, pictures_of
from pixelbayes.report import run_report
from pixelbayes.report.predictions import prediction_rows
from pixelbayes.report.results import clear_results, figures_of, write_results
from pixelbayes.utils.files import csv_text

NAMES = ("ant", "giant bee, striped", "<cow>")


def trained():
    return Checkpoint(
        network=tiny_model().float(),
        class_names=NAMES,
        preprocessing=Preprocessing(image_size=(8, 12), levels=5),
        prior=(0.5, 0.25, 0.25),
        about={"epoch": 7},
    )


def measurement(labels, predicted, sureness):
    """Of images that are each predicted as told, with that probability, the rest shared by the others."""
    posterior = ((1 - torch.tensor(sureness, dtype=torch.float64)) / 2)[:, None].repeat(1, 3)
    posterior[range(len(labels)), predicted] = torch.tensor(sureness, dtype=torch.float64)
    split = Split(
        random_images(len(labels), tiny_model().config),
        torch.tensor(labels),
        tuple(f"image {index}" for index in range(len(labels))),
    )
    known = any(label >= 0 for label in labels)
    return Measurement(
        split=split,
        log_prob=posterior.log() - 300,
        log_posterior=posterior.log(),
        bits_per_dim=1.5,
        classification=Classification.of(torch.tensor(predicted), split.labels, NAMES) if known else None,
        calibration=Calibration.of(posterior.log(), split.labels) if known else None,
        images_per_second=10.0,
    )


def test_figures_say_what_must_be_known_to_compare_them():
    found = figures_of(trained(), measurement([0, 1], [0, 2], [0.9, 0.8]), "folder:zoo", "test")
    assert found["accuracy"] == 0.5
    assert (found["data"], found["split"], found["n"], found["epoch"]) == ("folder:zoo", "test", 2, 7)
    assert (found["levels"], found["image_size"], found["channels"], found["resize"]) == (5, [8, 12], 3, "crop")
    assert json.loads(json.dumps(found)) == found | {"accuracy_interval": list(found["accuracy_interval"])} | {
        "confusion": [list(row) for row in found["confusion"]]
    }


def test_predictions_have_a_row_for_each_image_with_every_class_and_survive_csv():
    rows = prediction_rows(trained(), measurement([0, -1], [0, 2], [0.9, 0.8]))
    assert rows[0][:3] == ["image", "label", "predicted"]
    assert rows[0][3:6] == ["p(ant | x)", "p(giant bee, striped | x)", "p(<cow> | x)"]
    assert rows[1][:6] == ["image 0", "ant", "ant", "0.9", "0.05", "0.05"]
    assert rows[2][:3] == ["image 1", "", "<cow>"]
    assert float(rows[1][6]) == pytest.approx(-300.105, abs=1e-3)  # log 0.9 - 300
    assert list(csv.reader(io.StringIO(csv_text(rows)))) == rows


@pytest.mark.parametrize(
    ("labels", "predicted", "sureness", "count", "shown"),
    [
        ([0] * 8, [0] * 8, [0.9] * 8, 4, [0, 2, 4, 6]),  # no mistake: spread evenly
        ([0] * 8, [0, 1, 0, 0, 1, 1, 0, 0], [0.9, 0.5, 0.9, 0.9, 0.8, 0.7, 0.9, 0.9], 4, [0, 2, 5, 4]),  # the surest
        ([0] * 8, [1] * 8, [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.6, 0.6], 8, [0, 1, 2, 3, 6, 7, 5, 4]),
        ([-1] * 4, [1] * 4, [0.9] * 4, 2, [0, 2]),  # unknown is not wrong
        ([0, 1], [0, 1], [0.9] * 2, 8, [0, 1]),
        ([0], [1], [0.9], 8, [0]),
    ],
)
def test_a_handful_is_spread_over_the_split_and_ends_with_the_surest_mistakes(
    labels, predicted, sureness, count, shown
):
    assert handful(measurement(labels, predicted, sureness), count) == shown


def written(folder, found, **more):
    samples = torch.zeros(3, 2, 3, 8, 12, dtype=torch.uint8)
    return write_results(folder, trained(), found, source="zoo", split="test", samples=samples, **more)


def pictures(folder):
    return {path.name for path in (folder / "figures").iterdir()}


def named(*names):
    return {f"{name}.{kind}" for name in names for kind in ("png", "svg")}


def test_results_are_files_that_agree(tmp_path):
    history = [{"epoch": 7, "train/bits_per_dim": 2.0, "val/bits_per_dim": 2.1, "val/accuracy": 0.5}]
    write_history(history, tmp_path / "history.csv")
    (tmp_path / "config.yaml").write_text("seed: 0")
    found = measurement([0, 1, -1], [0, 2, 1], [0.9, 0.8, 0.7])
    figures = written(tmp_path, found, command="pixelbayes train", facts={"device": "cpu"})
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] == figures["accuracy"] == 0.5
    (row,) = csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())
    assert (row["accuracy"], row["bits_per_dim"], row["data"]) == ("0.5", "1.5", "zoo")
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 4
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["command"] == "pixelbayes train"
    assert about["facts"].keys() == {"device", "torch", "Python"}
    of_classes = ("confusion", "cosines", "explanations", "mistakes", "posteriors", "reliability", "risk_coverage")
    drawn = (*of_classes, "curves", "samples")
    assert pictures(tmp_path) == named(*drawn)
    page = (tmp_path / "index.html").read_text()
    assert page.count('src="data:image/') == len(drawn)
    assert "&lt;cow&gt;" in page
    assert "seed: 0" in page
    assert page == run_report([tmp_path]).html()


def test_without_labels_and_history_there_is_no_confusion_and_no_curve(tmp_path):
    assert written(tmp_path, measurement([-1, -1], [0, 2], [0.9, 0.8]))["accuracy"] is None
    assert pictures(tmp_path) == named("cosines", "explanations", "posteriors", "samples")
    assert "Accuracy" not in (tmp_path / "index.html").read_text()


def test_pictures_of_an_earlier_measurement_do_not_stay(tmp_path):
    more = {"separation": confusion_matrix(measurement([0, 1], [0, 2], [0.9, 0.8]).classification), "augmented": None}
    written(tmp_path, measurement([0, 1], [0, 2], [0.9, 0.8]), figures=more)
    assert named("separation", "confusion") < pictures(tmp_path)
    written(tmp_path, measurement([-1, -1], [0, 2], [0.9, 0.8]))
    assert pictures(tmp_path) == named("cosines", "explanations", "posteriors", "samples")


@pytest.mark.parametrize(
    ("combine", "heading"),
    [("density", "   log p(x | c) in nats"), ("mean", "mean log p(x | c) of the readings in nats")],
)
def test_beside_a_belief_stands_what_it_follows_from(combine, heading):
    found = measurement([0, 1], [0, 2], [0.9, 0.8])
    readings = found.log_posterior - 41.5  # the images' densities are others
    figure = pictures_of(trained(), replace(found, evidence=readings, combine=combine), None, [])["posteriors"]
    shown = [text.get_text() for text in figure.findobj(Text)]
    assert {f"{nats:.1f}" for nats in readings.flatten().tolist()} <= set(shown)
    assert any(heading in text for text in shown)


def test_clearing_removes_results_and_nothing_else(tmp_path):
    written(tmp_path, measurement([0, 1], [0, 2], [0.9, 0.8]), more={"against": None})
    for mine in ("samples/ant-0000.png", "notes.txt", "figures/notes.txt"):
        (tmp_path / mine).parent.mkdir(exist_ok=True)
        (tmp_path / mine).write_text("mine")
    clear_results(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"samples/ant-0000.png", "notes.txt", "figures/notes.txt"}
    clear_results(tmp_path / "nowhere")
