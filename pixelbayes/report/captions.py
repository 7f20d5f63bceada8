"""What is said of each figure that a folder may hold: the one place to name a new one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caption:
    """Where a figure stands and what it shows.

    Args:
        section: The heading it stands under; figures that share one stand together.
        description: What it shows, for those who cannot see it.
        caption: How to read it.
    """

    section: str
    description: str
    caption: str


CAPTIONS = {  # name of the figure's file -> its words; a section's figures in this order
    "confusion": Caption(
        "Classes",
        "Confusion matrix.",
        "Rows are true classes, columns predicted ones; the shade is the share of the row.",
    ),
    "reliability": Caption(
        "Calibration",
        "Reliability diagram: accuracy by confidence.",
        "Accuracy of the images to which the classifier gives about the same confidence; on the diagonal it means what "
        "it says. Bars are 95% intervals.",
    ),
    "risk_coverage": Caption(
        "Setting the unsure aside",
        "Risk-coverage curve.",
        "Accuracy among the surest share of the images: what is gained by leaving the others to someone else. Dashed: "
        "set aside at random; dotted: by one who knows every mistake.",
    ),
    "mistakes": Caption(
        "Mistakes",
        "Images that were classified wrongly, with bars for the probability of each class.",
        "The most confident mistakes. ✓ marks the right class, ✗ the mistake.",
    ),
    "posteriors": Caption(
        "Single images",
        "Images with bars for the probability of each class.",
        "p(c | x) for images spread over the split. ✓ marks the right class, ✗ a mistake.",
    ),
    "explanations": Caption(
        "Which pixels decide",
        "Heat maps of the log-likelihood ratio of two classes over images.",
        "log p(pixel | pixels before it, class) under one class less that under the other, in nats; over an image it "
        "sums to the log-likelihood ratio of the two classes.",
    ),
    "separation": Caption(
        "Against other data",
        "Histograms of how unlike the training data the images of two sets are.",
        "Scores of either set, higher for what is less like the training data; the less they overlap, the better the "
        "score tells them apart.",
    ),
    "neighbours": Caption(
        "Memorising",
        "Samples, each beside the training image nearest to it.",
        "Samples and the training image nearest to each: copies would be alike to the pixel.",
    ),
    "samples": Caption(
        "Samples",
        "Images drawn from the model, a row for each class.",
        "Drawn from p(x | c) by the selected weights, a row for each class; every square is one pixel of the image.",
    ),
    "cosines": Caption(
        "Classes as the network is told of them",
        "Cosines between the vectors that stand for the classes.",
        "Cosine between all that the fusion brings into the network for one class and for another; 1 is alike.",
    ),
    "augmented": Caption(
        "Augmentation",
        "Training images and what augmentation makes of them.",
        "Training images as they are, at the left, and as the network may meet them.",
    ),
}
