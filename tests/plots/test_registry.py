from dataclasses import replace

import pytest
import torch
from figures import texts
from measured import SHAPE, measurement, random_split, trained_pixelcnn, trained_resnet

from pixelbayes.checkpoints.merging import make_ensemble
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.evaluation.measure import Measurement, measure
from pixelbayes.plots import PLOTS, Overview, plots_of, select_examples

HISTORY = [{"epoch": 7, "train/bits_per_dim": 2.0, "val/bits_per_dim": 2.1, "val/accuracy": 0.5, "quality/fid": 3.0}]
RANGE_TEST = [{"learning_rate": 0.001, "loss": 3.0}, {"learning_rate": 0.01, "loss": 2.0}]
ALWAYS = {"posteriors"}
OF_LABELS = {"confusion", "reliability", "risk_coverage", "errors"}
OF_ONE_DENSITY = {"explanations", "cosines"}


@pytest.fixture(scope="module")
def found():
    return measurement([0, 1, -1], [0, 2, 1], [0.9, 0.8, 0.7])


def test_every_plot_is_drawn_where_there_is_something_to_show(found):
    samples = torch.zeros(3, 2, *SHAPE.chw, dtype=torch.uint8)
    trained = replace(trained_pixelcnn(), provenance=Provenance(epoch=7, config={"training": {"learning_rate": 0.005}}))
    figures = plots_of(
        Overview(trained=trained, measurement=found, samples=samples, history=HISTORY, range_test=RANGE_TEST)
    )
    drawn_by_commands = {"neighbours", "separation", "augmented"}
    assert list(figures) == [name for name in PLOTS if name not in drawn_by_commands]
    assert "selected: epoch 7" in texts(figures["curves"])
    assert "found: 0.005" in texts(figures["range_test"])
    assert "✗ cow, true class bee" in texts(figures["errors"])


def test_without_labels_samples_and_metrics_by_epoch_the_other_plots_remain():
    unlabelled = measurement([-1, -1], [0, 2], [0.9, 0.8])
    figures = plots_of(
        Overview(trained=trained_pixelcnn(), measurement=unlabelled, history=[{"epoch": 1, "seconds": 3.0}])
    )
    assert figures.keys() == ALWAYS | OF_ONE_DENSITY


def test_a_dedicated_classifier_and_an_ensemble_have_no_plots_of_a_single_density(found):
    ensemble = make_ensemble([trained_pixelcnn(), trained_pixelcnn("adaln")])
    classifier = replace(trained_resnet(), network=trained_resnet().network.float())
    images = random_split(0, 1, 2, 1)
    for trained in (ensemble, classifier):
        figures = plots_of(Overview(trained=trained, measurement=measure(trained, images)))
        assert ALWAYS <= figures.keys() <= ALWAYS | OF_LABELS


def test_with_a_single_class_there_is_nothing_to_explain():
    trained = trained_pixelcnn(prior=(1.0,))
    figures = plots_of(Overview(trained=trained, measurement=measure(trained, random_split(0, 0))))
    assert "explanations" not in figures


@pytest.mark.parametrize(
    ("combine", "heading"),
    [("mixture", "   log p(x | c) in nats"), ("product", "mean log p(x | c) of the passes in nats")],
)
def test_posteriors_show_the_evidence_that_they_follow_from(combine, heading):
    found = measurement([0], [0], [0.9])
    evidence = found.log_posterior - 41.5  # not the log p(x | c) of the likelihood
    overview = Overview(trained=trained_pixelcnn(), measurement=replace(found, evidence=evidence, combine=combine))
    words = texts(PLOTS["posteriors"].draw(overview))
    assert {f"{nats:.1f}" for nats in evidence.flatten().tolist()} <= set(words)
    assert any(heading in text for text in words)


@pytest.mark.parametrize(
    ("labels", "predicted", "confidence", "count", "shown"),
    [
        ([0] * 8, [0] * 8, [0.9] * 8, 4, [0, 2, 4, 6]),  # no error: evenly spread
        ([0] * 8, [0, 1, 0, 0, 1, 1, 0, 0], [0.9, 0.5, 0.9, 0.9, 0.8, 0.7, 0.9, 0.9], 4, [0, 2, 5, 4]),
        ([0] * 8, [1] * 8, [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.6, 0.6], 8, [0, 1, 2, 3, 6, 7, 5, 4]),
        ([-1] * 4, [1] * 4, [0.9] * 4, 2, [0, 2]),  # an unknown label is no error
        ([0, 1], [0, 1], [0.9] * 2, 8, [0, 1]),
        ([0], [1], [0.9], 8, [0]),
    ],
)
def test_examples_are_spread_over_the_split_and_end_with_the_most_confident_errors(
    labels, predicted, confidence, count, shown
):
    posterior = measurement(labels, predicted, confidence).log_posterior
    plain = Measurement(
        split=random_split(*labels), log_posterior=posterior, evidence=posterior, log_prior=posterior[0]
    )
    assert select_examples(plain, count) == shown


def test_every_plot_has_a_section_a_description_and_a_caption():
    assert all(
        plot.section and plot.description.endswith(".") and plot.caption.endswith(".") for plot in PLOTS.values()
    )
