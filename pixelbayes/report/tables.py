"""Tables of the metrics in the files of a run. A missing number gives an empty cell, a missing file no table."""

from collections.abc import Mapping, Sequence
from typing import Any

from pixelbayes.metrics.classification import wilson_interval
from pixelbayes.metrics.registry import METRICS
from pixelbayes.report.page import Table

Metrics = Mapping[str, Any]
"""The content of metrics.json or quality.json."""


def number(value: float | None, places: int = 3) -> str:
    """A number as text; empty for None.

    >>> number(0.12345), number(None)
    ('0.123', '')
    """
    return "" if value is None else f"{value:.{places}f}"


def with_interval(value: float | None, interval: Sequence[float] | None, places: int = 3) -> str:
    """A number and its interval as text.

    >>> with_interval(0.5, (0.41, 0.59), places=2)
    '0.50 [0.41, 0.59]'
    """
    if value is None or interval is None:
        return number(value, places)
    low, high = (number(bound, places) for bound in interval)
    return f"{number(value, places)} [{low}, {high}]"


def scored_with(metrics: Metrics) -> str:
    """The passes that decided the class, as a phrase; empty if it was a single unmasked pass.

    >>> scored_with({"views": 2, "masks": 4, "combine": "product"})
    '2 views and 4 masks per view, combined as a product'
    >>> scored_with({"views": 2, "masks": 0, "combine": "mixture"})
    '2 views, combined as a mixture'
    >>> scored_with({"views": 1, "masks": 0, "combine": "mixture"})
    ''
    """
    views, masks = metrics.get("views", 1), metrics.get("masks", 0)
    if views == 1 and not masks:
        return ""
    passes = f"{views} views" if views > 1 else f"{masks} mask{'s' * (masks > 1)}"
    if views > 1 and masks:
        passes += f" and {masks} mask{'s' * (masks > 1)} per view"
    return passes if views * masks == 1 else f"{passes}, combined as a {metrics['combine']}"


def class_table(metrics: Metrics) -> Table | None:
    """Precision, recall with its 95% Wilson interval, and F1 of each class."""
    if not metrics.get("per_class"):
        return None
    rows = []
    for name, score in metrics["per_class"].items():
        interval = wilson_interval(round(score["recall"] * score["support"]), score["support"])
        rows.append(
            [
                name,
                f"{score['support']:,}",
                number(score["precision"]),
                with_interval(score["recall"], interval),
                number(score["f1"]),
            ]
        )
    columns = ["class", "images", "precision", "recall (95% interval)", "F1"]
    return Table(rows, columns, f"Metrics per class, {metrics.get('split', 'the')} split.")


def calibration_table(metrics: Metrics) -> Table | None:
    """NLL, Brier score and ECE with their intervals, before and after temperature scaling."""
    if metrics.get("nll") is None:
        return None
    posteriors = {"uncalibrated": metrics}
    calibrated = metrics.get("calibrated") or {}
    if calibrated:
        posteriors[f"at temperature {number(calibrated.get('temperature'))}"] = calibrated
    rows = [
        [metric.heading, *(metric.cell(posterior) for posterior in posteriors.values())]
        for metric in (METRICS[key] for key in ("nll", "brier", "ece"))
    ]
    rows += [
        [title, *(number(posterior.get(key)) for posterior in posteriors.values())]
        for key, title in (("ece_if_calibrated", "expected ECE if calibrated"), ("p_value", "p-value if calibrated"))
        if any(posterior.get(key) is not None for posterior in posteriors.values())
    ]
    caption = "Lower is better for the first three rows."
    if metrics.get("nll_interval"):
        caption += " Brackets contain 95% bootstrap intervals."
    if calibrated.get("source"):
        caption += f" Temperature: {calibrated['source']}."
    return Table(rows, ["posterior", *posteriors], caption)


def sets_table(metrics: Metrics) -> Table | None:
    """Coverage and size of the prediction sets, of all images and by class."""
    found = metrics.get("prediction_sets")
    if not found or "n" not in found:
        return None
    rows = [
        [name, f"{of['n']:,}", with_interval(of["coverage"], of["interval"]), number(of["mean_size"], 2)]
        for name, of in {"all": found, **found["per_class"]}.items()
    ]
    caption = (
        f"A set holds the class of its image with a probability of {found['asked']:.0%}, on average over images like "
        f"those that its threshold was {found['source']}; by class it may differ."
    )
    return Table(rows, ["class", "images", "coverage (95% interval)", "mean number of classes"], caption)


def selective_table(metrics: Metrics) -> Table | None:
    """Accuracy among the most confident images."""
    selective = metrics.get("selective")
    if not selective or not selective.get("accuracy_at"):
        return None
    rows = [[f"most confident {share}", number(accuracy)] for share, accuracy in selective["accuracy_at"].items()]
    if metrics.get("accuracy") is not None:
        rows.append(["all", number(metrics["accuracy"])])
    area = selective.get("aurc")
    caption = "" if area is None else f"Area under the risk-coverage curve: {area:.4f}."
    return Table(rows, ["images", "accuracy"], caption)


def ood_table(metrics: Metrics) -> Table | None:
    """AUROC of each out-of-distribution score."""
    ood = metrics.get("ood")
    if not ood:
        return None
    rows = [[score, with_interval(found["auroc"], found["auroc_interval"])] for score, found in ood["scores"].items()]
    caption = (
        f"Images of {ood['data']}, {ood['split']}, compared with those of {metrics.get('data')}, "
        f"{metrics.get('split')}. AUROC is the probability that an image of the former has a higher score than one of "
        "the latter; 0.5 is chance."
    )
    return Table(rows, ["score", "AUROC (95% interval)"], caption)


def data_table(summary: Mapping[str, Any]) -> Table | None:
    """Number of images by class and split, with totals and duplicates.

    Args:
        summary: Made by `data.summary.summarise`.
    """
    if not summary.get("splits"):
        return None
    splits = summary["splits"]
    unlabelled = any(split["unlabelled"] for split in splits.values())
    rows = [[name, *(f"{split['per_class'][name]:,}" for split in splits.values())] for name in summary["class_names"]]
    rows += [["no label", *(f"{split['unlabelled']:,}" for split in splits.values())]] if unlabelled else []
    rows.append(["all", *(f"{split['images']:,}" for split in splits.values())])
    copies = dict(summary["duplicates"]["within"])
    for pair, count in summary["duplicates"]["across"].items():
        copies[pair.split("/")[1]] += count
    rows.append(["duplicates", *(f"{copies[name]:,}" for name in splits)])
    return Table(rows, ["class", *splits], "Images by class and split.")


def quality_table(quality: Metrics) -> Table | None:
    """FID, KID and class agreement, of all samples and of each class."""
    if "fid" not in quality:
        return None
    agreement, per_class = quality.get("class_agreement"), quality.get("per_class", {})
    rows = []
    for name, distance in {"all": quality, **per_class}.items():
        row = [name, f"{distance['n']:,}", f"{distance['n_reference']:,}"]
        row += [METRICS[key].cell(distance) for key in ("fid", "kid")]
        if agreement and distance is quality:
            row.append(with_interval(agreement["share"], agreement["interval"]))
        elif agreement:
            row.append(number(agreement["per_class"].get(name)))
        rows.append(row)
    columns = ["class", "samples", "real images", "FID", "KID"]
    caption = (
        f"Features: {quality['extractor']}; real images: {quality['reference']}. KID with its standard deviation over "
        "subsets. FID depends on the numbers of images: compare only values of equal numbers."
    )
    if agreement:
        columns.append("class agreement (95% interval)")
        caption += f" Class agreement is measured with the dedicated classifier {agreement['classifier']}."
    reasons = {distance["reason"] for distance in (quality, *per_class.values())} - {None}
    return Table(rows, columns, " ".join([caption, *sorted(reasons)]))


def acceptance_table(quality: Metrics) -> Table | None:
    """How many draws of each class were accepted, if samples were drawn with acceptance."""
    found = quality.get("acceptance")
    if not found:
        return None
    rows = [
        [name, number(share), f"{found['expected_draws'][name]:.1f}", number(found["threshold"][name])]
        for name, share in found["acceptance"].items()
    ]
    caption = (
        f"A draw is accepted if the judge, {found['judge'][:8]}, gives its class at least this log-odds, in nats; the "
        f"threshold was chosen to accept {found['rate']:.0%} of the draws. The last of {found['max_draws']} draws is "
        f"kept even if it is not accepted. {found['accepted']:,} of {found['samples']:,} samples are accepted."
    )
    if found.get("bits_per_dim") is not None:
        caption += (
            f" Real images have {number(found['bits_per_dim'])} bits per dimension under the density of the accepted "
            f"samples and {number(found['bits_per_dim_of_draws'])} under that of the draws."
        )
    return Table(rows, ["class", "share accepted", "draws expected", "threshold"], caption)


def memorization_table(quality: Metrics) -> Table | None:
    """Distances of samples and of held-out images to their nearest training image."""
    if not quality.get("memorization"):
        return None
    columns = {
        "median": "samples",
        "held_out_median": "held-out images",
        "threshold": "threshold",
        "share_below": "samples below it",
    }
    rows = [
        [space, *(number(distances.get(key)) for key in columns)]
        for space, distances in quality["memorization"].items()
    ]
    copies = quality.get("copies")
    caption = (
        "Median distance to the nearest training image, as root mean square over dimensions. 5% of the held-out images "
        "are below the threshold. A larger share of the samples indicates memorization."
    )
    if copies is not None:
        caption += f" Samples that equal a training image in every level: {copies:,}."
    return Table(rows, ["space", *columns.values()], caption)
