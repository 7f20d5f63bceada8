"""The plots of a run or an evaluation, declared in one place.

A new plot is a function and one entry of PLOTS. `train` and `evaluate` then draw it, and the report shows it:

>>> def entropies(overview: Overview) -> Figure:
...     log_p = overview.measurement.log_posterior
...     figure = Figure()
...     figure.add_subplot(xlabel="entropy of p(c | x) in nats").hist(-(log_p.exp() * log_p).sum(dim=1))
...     return figure
>>> plot = Plot(section="Calibration", description="Histogram of entropies.", caption="...", draw=entropies)

`PLOTS["entropies"] = plot` registers it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from pixelbayes.evaluation.explanation import contrast_classes, explain
from pixelbayes.metrics.selective import most_confident_errors
from pixelbayes.plots.confusion import confusion_matrix
from pixelbayes.plots.cosines import cosine_map
from pixelbayes.plots.curves import NAMES, History, curves, was_measured
from pixelbayes.plots.explanation import explanations
from pixelbayes.plots.grid import image_grid
from pixelbayes.plots.overview import Overview, select_examples
from pixelbayes.plots.posteriors import posteriors
from pixelbayes.plots.quality import PANELS, quality_curves
from pixelbayes.plots.range_test import range_test
from pixelbayes.plots.reliability import reliability
from pixelbayes.plots.risk_coverage import risk_coverage


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot, and its place in the report.

    Args:
        section: Title of its section in the report.
        description: What it shows, for readers who cannot see it (alt text).
        caption: How to read it.
        draw: Draws it, or returns None if there is nothing to show. None if a command draws it by itself.
        draw_history: Draws it from the training history and the selected epoch, or returns None; replaces `draw`. The
            report uses it too, so that it also shows the plot for an unfinished run.
    """

    section: str
    description: str
    caption: str
    draw: Callable[[Overview], Figure | None] | None = None
    draw_history: Callable[[History, int | None], Figure | None] | None = None


def _curves(history: History, best_epoch: int | None) -> Figure | None:
    return curves(history, best_epoch) if was_measured(history, NAMES) else None


def _quality(history: History, best_epoch: int | None) -> Figure | None:
    return quality_curves(history) if was_measured(history, PANELS.values()) else None


def _range_test(overview: Overview) -> Figure | None:
    if not overview.range_test:
        return None
    return range_test(overview.range_test, overview.trained.provenance.config["training"]["learning_rate"])


def _samples(overview: Overview) -> Figure | None:
    if overview.samples is None:
        return None
    return image_grid(overview.samples, overview.trained.image_shape.levels, overview.trained.class_names)


def _confusion(overview: Overview) -> Figure | None:
    classification = overview.measurement.classification
    return confusion_matrix(classification) if classification else None


def _reliability(overview: Overview) -> Figure | None:
    before, calibrated = overview.measurement.calibration, overview.measurement.calibrated
    if before is None:
        return None
    return reliability(before, calibrated.calibration, calibrated.temperature) if calibrated else reliability(before)


def _risk_coverage(overview: Overview) -> Figure | None:
    curve = overview.measurement.selective
    return risk_coverage(curve) if curve else None


def _errors(overview: Overview) -> Figure | None:
    measurement = overview.measurement
    errors = most_confident_errors(measurement.log_posterior, measurement.split.labels)
    return _posteriors_of(overview, errors) if errors else None


def _posteriors(overview: Overview) -> Figure:
    return _posteriors_of(overview, select_examples(overview.measurement))


def _posteriors_of(overview: Overview, images: Sequence[int]) -> Figure:
    measurement, index = overview.measurement, list(images)
    return posteriors(
        measurement.split.pixels[index],
        overview.trained.image_shape.levels,
        measurement.posterior[index],
        overview.trained.class_names,
        measurement.split.labels[index],
        None if measurement.log_prob is None else measurement.evidence[index],
        is_mean=measurement.combine == "product",
    )


def _explanations(overview: Overview) -> Figure | None:
    trained, measurement = overview.trained, overview.measurement
    if len(trained.densities) != 1 or len(trained.class_names) < 2:
        return None
    index = select_examples(measurement)
    log_posterior = measurement.log_posterior[index]
    classes = contrast_classes(log_posterior, measurement.split.labels[index])
    found = explain(trained.densities[0], measurement.split.pixels[index], log_posterior, classes)
    return explanations(found, trained.image_shape.levels, trained.class_names)


def _cosines(overview: Overview) -> Figure | None:
    vectors = overview.trained.class_vectors
    return None if vectors is None else cosine_map(vectors, overview.trained.class_names)


PLOTS = {
    "curves": Plot(
        section="Training",
        description="Line plots by epoch of the metrics on training and validation images, and of the learning rate.",
        caption="Metrics by epoch. The dashed line, if any, marks the epoch whose weights were selected.",
        draw_history=_curves,
    ),
    "range_test": Plot(
        section="Training",
        description="Line plot of the loss by learning rate, with a mark at the rate that was found.",
        caption="The range test before training: the learning rate grew from step to step. The rate that was found is "
        "where the running mean of the loss fell most steeply.",
        draw=_range_test,
    ),
    "samples": Plot(
        section="Samples",
        description="Samples from the model, one row per class.",
        caption="Samples from p(x | c) with the selected weights, one row per class. Every square is one image pixel.",
        draw=_samples,
    ),
    "quality": Plot(
        section="Sample quality",
        description="Line plots of FID and KID of samples by epoch.",
        caption="Measured during training on few samples: compare the epochs with each other only.",
        draw_history=_quality,
    ),
    "neighbours": Plot(
        section="Memorization",
        description="Samples, each above its nearest training image.",
        caption="The samples that are nearest to a training image, each above that image. A copy looks the same.",
    ),
    "confusion": Plot(
        section="Classification",
        description="Confusion matrix.",
        caption="Rows are true classes, columns are predicted classes. The shade is the share of the row.",
        draw=_confusion,
    ),
    "reliability": Plot(
        section="Calibration",
        description="Reliability diagram: accuracy by confidence.",
        caption="Accuracy of the images with about the same confidence. On the diagonal the classifier is calibrated. "
        "Bars are 95% intervals.",
        draw=_reliability,
    ),
    "risk_coverage": Plot(
        section="Selective classification",
        description="Risk-coverage curve: accuracy by the share of images that are classified.",
        caption="Accuracy among the most confident images, if the classifier abstains on the others. Dashed: images in "
        "random order. Dotted: all errors last.",
        draw=_risk_coverage,
    ),
    "errors": Plot(
        section="Errors",
        description="Misclassified images, each with bars of the probability of each class.",
        caption="The most confident errors. ✓ marks the true class, ✗ the error.",
        draw=_errors,
    ),
    "posteriors": Plot(
        section="Posteriors",
        description="Images, each with bars of the probability of each class.",
        caption="p(c | x) of images spread over the split, and of some errors. ✓ marks the true class, ✗ an error.",
        draw=_posteriors,
    ),
    "explanations": Plot(
        section="Explanations",
        description="Heat maps of the log-likelihood ratio of two classes over images.",
        caption="log p(pixel | previous pixels, class) of one class minus that of the other, in nats. The sum over an "
        "image is the log-likelihood ratio of the two classes.",
        draw=_explanations,
    ),
    "separation": Plot(
        section="Out-of-distribution detection",
        description="Histograms of out-of-distribution scores of two sets of images.",
        caption="Scores of both sets. Images with higher scores are less like the training images. The less the "
        "histograms overlap, the better the score separates the sets.",
    ),
    "cosines": Plot(
        section="Class embeddings",
        description="Heat map of the cosine similarities of the class embeddings.",
        caption="Cosine similarity of all features that condition the network on one class and on another.",
        draw=_cosines,
    ),
    "augmented": Plot(
        section="Augmentation",
        description="Training images and random augmentations of them.",
        caption="Training images in the first column, random augmentations of them in the others.",
    ),
}
"""The plots by name, in the order of the report. The name is also that of the file."""


def plots_of(overview: Overview) -> dict[str, Figure]:
    """All plots for which there is something to show, by name."""
    figures = {}
    for name, plot in PLOTS.items():
        figure = None
        if plot.draw_history:
            figure = plot.draw_history(overview.history, overview.trained.provenance.epoch)
        elif plot.draw:
            figure = plot.draw(overview)
        if figure is not None:
            figures[name] = figure
    return figures
