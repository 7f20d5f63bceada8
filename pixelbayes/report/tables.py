"""Tables of what stands in a folder's files: a number that is not there is not shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from pixelbayes.metrics.classification import wilson_interval
from pixelbayes.report.page import Table

MEASURES = {  # key in metrics.json -> what it is called, with its unit
    "nll": "negative log-likelihood (nats)",
    "brier": "Brier score",
    "ece": "expected calibration error",
}


def number(value: float | None, places: int = 3) -> str:
    """A number as it is read; nothing where there is none.

    >>> number(0.12345), number(None)
    ('0.123', '')
    """
    return "" if value is None else f"{value:.{places}f}"


def with_interval(value: float | None, interval: Sequence[float] | None, places: int = 3) -> str:
    """A number and its interval.

    >>> with_interval(0.5, (0.41, 0.59), places=2)
    '0.50 [0.41, 0.59]'
    """
    if value is None or interval is None:
        return number(value, places)
    low, high = (number(bound, places) for bound in interval)
    return f"{number(value, places)} [{low}, {high}]"


def how_read(metrics: Mapping[str, Any]) -> str:
    """How images were read to tell their classes; nothing where each was read once.

    >>> how_read({"views": 2, "masks": 4, "combine": "mean"})
    '2 views, 4 masks each, as their mean'
    >>> how_read({"views": 1, "masks": 0, "combine": "density"})
    ''
    """
    views, masks = metrics.get("views", 1), metrics.get("masks", 0)
    if views == 1 and not masks:
        return ""
    what = f"{views} view{'s' * (views > 1)}" + (f", {masks} masks each" if masks else "")
    return f"{what}, as {'one density' if metrics['combine'] == 'density' else 'their mean'}"


def class_table(metrics: Mapping[str, Any]) -> Table | None:
    """Precision, recall with its 95% Wilson interval, and F1 of each class; None where no image was labelled."""
    if not metrics.get("per_class"):
        return None
    rows = []
    for name, score in metrics["per_class"].items():
        recalled = wilson_interval(round(score["recall"] * score["support"]), score["support"])
        rows.append(
            [
                name,
                f"{score['support']:,}",
                number(score["precision"]),
                with_interval(score["recall"], recalled),
                number(score["f1"]),
            ]
        )
    columns = ["class", "images", "precision", "recall (95% interval)", "F1"]
    return Table(rows, columns, f"By class, {metrics.get('split', 'the')} split.")


def calibration_table(metrics: Mapping[str, Any]) -> Table | None:
    """Nll, Brier score and ECE with their intervals, as they are and after the temperature; None if not measured."""
    if metrics.get("nll") is None:
        return None
    sides = {"as it is": metrics}
    if calibrated := metrics.get("calibrated"):
        sides[f"at temperature {number(calibrated.get('temperature'))}"] = calibrated
    rows = [
        [words, *(with_interval(side.get(key), side.get(f"{key}_interval")) for side in sides.values())]
        for key, words in MEASURES.items()
    ]
    rows += [
        [words, *(number(side.get(key)) for side in sides.values())]
        for key, words in (("ece_if_calibrated", "error expected if calibrated"), ("p_value", "p-value if calibrated"))
        if any(side.get(key) is not None for side in sides.values())
    ]
    source = f" The temperature: {calibrated['source']}." if calibrated and calibrated.get("source") else ""
    shown = " In brackets 95% bootstrap intervals." if metrics.get("nll_interval") else ""
    return Table(rows, ["posterior", *sides], f"Lower is better.{shown}{source}")


def selective_table(metrics: Mapping[str, Any]) -> Table | None:
    """Accuracy among the surest share of the images; None if not measured."""
    found = metrics.get("selective")
    if not found or not found.get("accuracy_at"):
        return None
    rows = [[f"the surest {share}", number(accuracy)] for share, accuracy in found["accuracy_at"].items()]
    if metrics.get("accuracy") is not None:
        rows.append(["all", number(metrics["accuracy"])])
    area = found.get("aurc")
    caption = "" if area is None else f"Area under the risk-coverage curve: {area:.4f}."
    return Table(rows, ["images", "accuracy"], caption)


def against_table(metrics: Mapping[str, Any]) -> Table | None:
    """How well each score tells other data from what was measured; None if not measured."""
    found = metrics.get("against")
    if not found:
        return None
    rows = [[score, with_interval(one["auroc"], one["auroc_interval"])] for score, one in found["scores"].items()]
    caption = (
        f"Images of {found['data']}, {found['split']}, against those of {metrics.get('data')}, {metrics.get('split')}: "
        "the probability that one of the former scores higher; 0.5 is chance."
    )
    return Table(rows, ["score", "AUROC (95% interval)"], caption)


def data_table(summary: Mapping[str, Any]) -> Table | None:
    """A row for each class and a column for each split, with totals and duplicates below; None without a summary.

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


def quality_table(quality: Mapping[str, Any]) -> Table | None:
    """FID, KID and the share read as asked, of all samples and of each class; None if not measured."""
    if "fid" not in quality:
        return None
    read = quality.get("read_as_asked")
    rows = []
    for name, distance in {"all": quality, **quality.get("per_class", {})}.items():
        row = [
            name,
            f"{distance['n']:,}",
            f"{distance['n_reference']:,}",
            number(distance["fid"], 2),
            kid_with_deviation(distance),
        ]
        if read:
            all_of_them = with_interval(read["share"], read["interval"])
            row.append(all_of_them if distance is quality else number(read["per_class"].get(name)))
        rows.append(row)
    columns = ["class", "samples", "real images", "FID", "KID", *(["read as asked (95% interval)"] if read else [])]
    judge = f" Read by the dedicated classifier {read['classifier']}." if read else ""
    reasons = {distance["reason"] for distance in (quality, *quality.get("per_class", {}).values())} - {None}
    caption = (
        f"Features: {quality['extractor']}; real images: {quality['reference']}. KID with its deviation over subsets. "
        f"FID falls as numbers rise: compare only equal ones.{judge}"
    )
    return Table(rows, columns, " ".join([caption, *sorted(reasons)]))


def kid_with_deviation(distance: Mapping[str, Any]) -> str:
    """KID and its deviation over subsets; it is small, hence more places."""
    if distance.get("kid") is None:
        return ""
    deviation = distance.get("kid_deviation")
    return number(distance["kid"], 4) + ("" if deviation is None else f" ± {number(deviation, 4)}")


def memorising_table(quality: Mapping[str, Any]) -> Table | None:
    """Distances of samples and of held-out images to the nearest training image; None if not measured."""
    if not quality.get("memorising"):
        return None
    columns = {
        "median": "samples",
        "held_out_median": "held-out images",
        "threshold": "threshold",
        "share_below": "samples below it",
    }
    rows = [[space, *(number(found.get(key)) for key in columns)] for space, found in quality["memorising"].items()]
    copies = quality.get("copies")
    caption = (
        "Distance to the nearest training image: medians, root mean square over dimensions. Of held-out images 5% lie "
        "below the threshold; more of the samples do if training images are remembered."
    )
    if copies is not None:
        caption += f" Samples that are a training image to the last level: {copies:,}."
    return Table(rows, ["space", *columns.values()], caption)
