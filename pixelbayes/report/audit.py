"""The page of an audit, and its tables."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from pixelbayes.evaluation.audit import NO_FOLD, Audit, Finding
from pixelbayes.evaluation.explanation import Explanation
from pixelbayes.metrics.near_duplicates import FALSE_ALARM_RATE, NEIGHBOURS
from pixelbayes.plots import explanations, image_grid, posteriors
from pixelbayes.report.page import Card, CodeBlock, Page, Picture, Section, Table, in_part

COLUMNS = ("split", "position", "image", "label", "action", "new label", "reason", "copy of")
SHOWN = 20  # images in a figure
ROWS = 200  # of the table on the page


def proposal_rows(audit: Audit) -> list[list[Any]]:
    """The proposals below the header `COLUMNS`, one row for each image that something is wrong with."""
    return [list(COLUMNS), *([*_place(audit, each.image), *_proposal(audit, each)] for each in audit.findings)]


def _place(audit: Audit, image: int) -> list[Any]:
    pool = audit.pool
    label = pool.class_name(int(pool.images.labels[image]))
    return [pool.split[image], pool.position[image], pool.images.names[image], label]


def _proposal(audit: Audit, finding: Finding) -> list[str]:
    copy_of = "" if finding.copy_of is None else audit.pool.images.names[finding.copy_of]
    return [finding.action, audit.pool.class_name(finding.new_label), finding.reason, copy_of]


def image_rows(audit: Audit) -> list[list[Any]]:
    """What was measured of every image, below a header; empty cells for images that no network could judge."""
    header = [
        "fold",
        "predicted",
        "p(label is wrong)",
        "margin in nats",
        "outlier score",
        f"nearest / {NEIGHBOURS}th nearest",
    ]
    predicted = audit.log_posterior.nan_to_num(0).argmax(dim=1).tolist()
    rows: list[list[Any]] = [[*COLUMNS[:4], *header, "group of near-duplicates"]]
    for image in range(len(audit.pool)):
        judged = audit.fold[image] != NO_FOLD
        values = [f"{each[image]:.6g}" for each in (audit.p_wrong, audit.margin)] if judged else ["", ""]
        fold = [int(audit.fold[image]) + 1, audit.pool.class_names[predicted[image]]] if judged else ["", ""]
        distances = [f"{each[image]:.6g}" for each in (audit.outlier_score, audit.duplicates.ratio)]
        rows.append([*_place(audit, image), *fold, *values, *distances, int(audit.duplicates.group[image])])
    return rows


def audit_page(
    audit: Audit, explained: Sequence[Explanation], levels: int, *, source: str, command: str, table: str
) -> Page:
    """The page of an audit.

    Args:
        audit: The result.
        explained: What speaks for and against the labels of the images that are the most likely mislabelled.
        levels: Number of values a colour can take.
        source: Name of the data.
        command: The command line of the audit.
        table: Name of the file of proposals, in the folder of the page.
    """
    summary = audit.summary()
    per_class = audit.classification.as_dict()["accuracy_interval"]
    cards = [
        Card("Likely mislabelled", f"{summary['mislabelled']:,}", f"of {summary['judged']:,} images with a label"),
        Card("Near-duplicates", f"{summary['near_duplicates']:,}", _across(summary)),
        Card("Out of place", f"{summary['out_of_place']:,}", "unlike all other images"),
        Card(
            "Accuracy",
            f"{summary['accuracy']:.3f}",
            f"of the networks against the labels as they are, 95% interval {per_class[0]:.3f} to {per_class[1]:.3f}",
        ),
    ]
    sections = [
        Section("Likely mislabelled", _mislabelled_text(audit), pictures=_mislabelled(audit, levels)),
        Section(
            "What speaks against the labels",
            "The map beside each image shows the evidence for its label against the proposed one." if explained else "",
            pictures=_explanations(audit, explained, levels),
        ),
        Section("Confused classes", tables=_confused(audit)),
        Section("Near-duplicates", pictures=_copies(audit, levels)),
        Section("Out of place", pictures=_out_of_place(audit, levels)),
        Section("All proposals", _proposals_text(audit, table), tables=_proposals(audit)),
        Section("How to reproduce", code=[CodeBlock(command, "Command")]),
    ]
    return Page(title=source, summary=_summary(audit), kicker="Audit", cards=cards, sections=in_part("", sections))


def _summary(audit: Audit) -> str:
    unjudged = len(audit.pool) - len(audit.judged)
    only = f"; {unjudged:,} without a label, or alone in their class, were compared only" if unjudged else ""
    return f"{len(audit.pool):,} images, each judged by a network that was not trained on it{only}"


def _across(summary: dict[str, Any]) -> str:
    across = summary["near_duplicates_across_splits"]
    return f"of other images; {across:,} of them of images in another split" if across else "of other images"


def _mislabelled_text(audit: Audit) -> str:
    if not audit.mislabelled:
        return "No label is contradicted by the networks."
    return (
        "Images whose label is rather wrong than right, by Bayes' rule: from the evidence of a network that was not "
        f"trained on the image, and a rate of wrong labels of {audit.error_rate:.1%}, estimated from all images."
    )


def _mislabelled(audit: Audit, levels: int) -> list[Picture]:
    index = torch.tensor([each.image for each in audit.mislabelled[:SHOWN]], dtype=torch.int64)
    if not len(index):
        return []
    images = audit.pool.images
    figure = posteriors(
        images.pixels[index],
        levels,
        audit.log_posterior[index].exp(),
        audit.pool.class_names,
        images.labels[index],
        label_name="label",
    )
    names = ", ".join(images.names[image] for image in index.tolist())
    return [
        Picture.of(
            figure,
            "Likely mislabelled images, each with bars of the probability of each class.",
            f"The surest first; ✓ marks the label: {names}.",
        )
    ]


def _explanations(audit: Audit, explained: Sequence[Explanation], levels: int) -> list[Picture]:
    if not explained:
        return []
    return [
        Picture.of(
            explanations(explained, levels, audit.pool.class_names),
            "Heat maps of the evidence for the label and for the proposed class over likely mislabelled images.",
            "The same images in the same order. Blue pixels speak for the label, vermillion ones for the other class.",
        )
    ]


def _confused(audit: Audit) -> list[Table]:
    labels = audit.pool.images.labels
    counts = Counter((int(labels[each.image]), each.new_label) for each in audit.mislabelled)
    names = audit.pool.class_names
    rows = []
    for (label, other), count in counts.most_common(SHOWN):
        of_class = int((labels == label).sum())
        rows.append([names[label], names[other], f"{count:,}", f"{count / of_class:.1%}"])
    caption = "How many images of a class probably belong to another one."
    return [Table(rows, ["label", "probably", "images", "share of the class"], caption)] if rows else []


def _copies(audit: Audit, levels: int) -> list[Picture]:
    pairs = [(each.image, each.copy_of) for each in audit.copies if each.copy_of is not None][:SHOWN]
    if not pairs:
        return []
    index = torch.tensor(pairs).T  # (2, n)
    figure = image_grid(audit.pool.images.pixels[index], levels, row_labels=["copy", "kept"])
    names = audit.pool.images.names
    listed = ", ".join(f"{names[copy]} of {names[kept]}" for copy, kept in pairs)
    threshold = audit.duplicates.threshold
    caption = (
        f"Each image above the one of which it is a near-duplicate: {listed}. Two images are near-duplicates if their "
        f"distance is at most {threshold:.2f} of that to the {NEIGHBOURS}th nearest image; independent images have "
        f"any such pair with a probability of {FALSE_ALARM_RATE:.0%}."
    )
    return [Picture.of(figure, "Near-duplicates, each above the image that is kept.", caption)]


def _out_of_place(audit: Audit, levels: int) -> list[Picture]:
    index = [each.image for each in audit.out_of_place[:SHOWN]]
    if not index:
        return []
    names = ", ".join(audit.pool.images.names[image] for image in index)
    figure = image_grid(audit.pool.images.pixels[torch.tensor([index])], levels)
    return [Picture.of(figure, "Images that are unlike all others.", f"The highest score first: {names}.")]


def _proposals_text(audit: Audit, table: str) -> str:
    if not audit.findings:
        return "There is nothing to correct."
    more = f" The table shows the first {ROWS} of {len(audit.findings):,}." if len(audit.findings) > ROWS else ""
    return (
        f"Edit {table}, where each action is relabel, remove, review or keep. Then repeat the command with --apply and "
        f"the name of a new folder, which receives a corrected copy of the images. The images themselves stay as they "
        f"are.{more}"
    )


def _proposals(audit: Audit) -> list[Table]:
    if not audit.findings:
        return []
    columns = ["image", "label", "action", "new label", "reason"]
    rows = []
    for each in audit.findings[:ROWS]:
        _, _, image, label = _place(audit, each.image)
        rows.append([image, label, *_proposal(audit, each)[:3]])
    return [Table(rows, columns, numeric=False)]
