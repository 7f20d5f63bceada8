"""The page of one run: how good it is, how sure we are, how it got there, and how to get there again."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from pixelbayes.evaluation.calibration import Calibration
from pixelbayes.evaluation.classification import Classification, wilson_interval
from pixelbayes.evaluation.page import Card, Listing, Page, Picture, Section, Table
from pixelbayes.version import __version__


def run_page(
    *,
    title: str,
    summary: str,
    split: str,
    bits_per_dim: float | None,
    levels: int,
    image_size: tuple[int, int],
    resize: str,
    config_text: str,
    command: str,
    facts: Mapping[str, str],
    num_images: int,
    classification: Classification | None = None,
    calibration: Calibration | None = None,
    data: Table | None = None,
    curves: Figure | None = None,
    augmented: Figure | None = None,
    cosines: Figure | None = None,
    samples: Figure | None = None,
    confusion: Figure | None = None,
    posteriors: Figure | None = None,
) -> Page:
    """The report of a run; what is None is left out.

    Args:
        title: Name of the run.
        summary: A sentence or two on what was trained on what.
        split: The split that was measured, "validation" say.
        bits_per_dim: -log2 p(x | c) per dimension, mean over that split; None of a network without a density.
        levels: Number of values a colour can take: bits per dimension of other levels are no comparison, nor are those
            of another size or resize.
        image_size: (H, W).
        resize: How images came to that size, "bilinear, antialiased" say.
        config_text: The whole config as YAML.
        command: The command line that repeats the run.
        facts: What else would be asked: versions, device, hours, seed.
        num_images: n, images behind `bits_per_dim`.
        classification: Predictions against labels; None if the split has no labels.
        calibration: Of the same predictions.
        data: Made by `data_table`.
        curves: Made by the function of that name in `figures`, as are those below.
        augmented: Made by `augmentations`.
        cosines: Made by `cosine_map`.
        samples: Made by `image_grid`.
        confusion: Made by `confusion_matrix`.
        posteriors: Made by `posteriors`.
    """
    height, width = image_size
    cards = _classification_cards(split, classification, calibration)
    if bits_per_dim is not None:
        note = f"{levels} levels, {height}x{width} pixels, {resize}"
        cards.append(Card("Bits per dimension", f"{bits_per_dim:.3f}", note))
    cards.append(Card("Images", f"{num_images:,}", f"of the {split} split"))
    loss, rule = "Bits per dimension", "by Bayes' rule"
    if bits_per_dim is None:
        loss, rule = "Cross-entropy", "the softmax of the logits"
    sections = [
        _figure_section(
            "Training",
            curves,
            f"{loss}, accuracy and learning rate by epoch.",
            "The dashed line marks the epoch whose weights were selected.",
        ),
        _figure_section(
            "Augmentation",
            augmented,
            "Training images and what augmentation makes of them.",
            "Training images as they are, at the left, and as the network may meet them.",
        ),
        _figure_section(
            "Samples",
            samples,
            "Images drawn from the model, a row for each class.",
            "Drawn from p(x | c), a row for each class; every square is one pixel of the image.",
        ),
        _classification_section(split, classification, confusion),
        _figure_section(
            "Single images",
            posteriors,
            "Images with bars for the probability of each class.",
            f"p(c | x), {rule}, for images of the {split} split. ✓ marks the right class, ✗ a mistake.",
        ),
        _figure_section(
            "Classes as the network is told of them",
            cosines,
            "Cosines between the vectors that stand for the classes.",
            "Cosine between all that the fusion brings into the network for one class and for another; 1 is alike.",
        ),
        Section("Data", tables=(data,)) if data else None,
        Section(
            "How to repeat it",
            tables=(Table(list(facts.items()), numeric=False),) if facts else (),
            listings=(Listing(command, "Command"), Listing(config_text, "Config (YAML)", folded=True)),
        ),
    ]
    return Page(
        title=title,
        summary=summary,
        kicker="Run report",
        cards=cards,
        sections=[section for section in sections if section],
        footer=f"pixelbayes {__version__}",
    )


def data_table(counts: Mapping[str, Mapping[str, int]], duplicates: Mapping[str, int]) -> Table:
    """A row for each class and a column for each split, with totals and duplicates below.

    Args:
        counts: Split -> class name (or "no label") -> number of images.
        duplicates: Split -> images whose pixels occur elsewhere in the data too.

    >>> data_table({"train": {"cat": 2, "dog": 1}, "test": {"no label": 4}}, {"test": 1}).rows[-2:]
    [['all', '3', '4'], ['duplicates', '0', '1']]
    """
    kinds = list(dict.fromkeys(kind for split in counts.values() for kind in split))
    rows = [[kind, *(f"{split.get(kind, 0):,}" for split in counts.values())] for kind in kinds]
    rows.append(["all", *(f"{sum(split.values()):,}" for split in counts.values())])
    rows.append(["duplicates", *(f"{duplicates.get(split, 0):,}" for split in counts)])
    return Table(rows, columns=["class", *counts], caption="Images by class and split.")


def _classification_cards(
    split: str, classification: Classification | None, calibration: Calibration | None
) -> list[Card]:
    if classification is None:
        return []
    low, high = classification.accuracy_interval
    interval = f"95% interval {low:.3f} to {high:.3f}, {split}, n = {classification.n:,}"
    cards = [
        Card("Accuracy", f"{classification.accuracy:.3f}", interval),
        Card("Macro F1", f"{classification.macro_f1:.3f}", "mean over the classes that occur"),
    ]
    if calibration is not None:
        note = f"nats, mean of -log p(label | x); expected calibration error {calibration.ece:.3f}"
        cards.append(Card("Cross-entropy", f"{calibration.nll:.3f}", note))
    return cards


def _classification_section(
    split: str, classification: Classification | None, confusion: Figure | None
) -> Section | None:
    if classification is None:
        return None
    rows = []
    for name, score in classification.per_class.items():
        low, high = wilson_interval(round(score.recall * score.support), score.support)
        interval = f"{low:.3f} to {high:.3f}"
        rows.append(
            [name, f"{score.support:,}", f"{score.precision:.3f}", f"{score.recall:.3f}", interval, f"{score.f1:.3f}"]
        )
    columns = ["class", "images", "precision", "recall", "its 95% interval", "F1"]
    caption = "Rows are true classes, columns predicted ones; the shade is the share of the row."
    pictures = (Picture.of(confusion, "Confusion matrix.", caption),) if confusion else ()
    return Section("Classes", pictures=pictures, tables=(Table(rows, columns, f"By class, {split} split."),))


def _figure_section(title: str, figure: Figure | None, description: str, caption: str) -> Section | None:
    return Section(title, pictures=(Picture.of(figure, description, caption),)) if figure else None
