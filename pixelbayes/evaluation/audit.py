"""An audit of labelled images: which are likely mislabelled, near-duplicates of others, or out of place."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from pixelbayes.data import UNKNOWN_LABEL, Split
from pixelbayes.inference.classifier import log_posterior
from pixelbayes.metrics.classification import Classification
from pixelbayes.metrics.label_errors import label_error_rate, label_margin, p_wrong
from pixelbayes.metrics.near_duplicates import NearDuplicates
from pixelbayes.metrics.temperature_scaling import cross_fitted

FENCE = 1.5  # interquartile ranges above the upper quartile: Tukey (1977), Exploratory data analysis
KEEP_FIRST = ("test", "validation", "train")  # the split whose copy is kept, so that test images stay comparable

NO_FOLD = -1  # of an image that no network can judge

Action = Literal["relabel", "remove", "review"]


@dataclass(frozen=True, eq=False)
class Pool:
    """The images of all splits of a source.

    Args:
        images: The images.
        split: Name of the split of each image.
        position: Position of each image in its split, from 0.
        class_names: Name of each label, Y of them.
    """

    images: Split
    split: tuple[str, ...]
    position: tuple[int, ...]
    class_names: tuple[str, ...]

    @classmethod
    def of(cls, splits: dict[str, Split], class_names: tuple[str, ...]) -> "Pool":
        """Joins splits in order."""
        return cls(
            images=Split(
                pixels=torch.cat([each.pixels for each in splits.values()]),
                labels=torch.cat([each.labels for each in splits.values()]),
                names=tuple(name for each in splits.values() for name in each.names),
            ),
            split=tuple(name for name, each in splits.items() for _ in range(len(each))),
            position=tuple(position for each in splits.values() for position in range(len(each))),
            class_names=class_names,
        )

    def __len__(self) -> int:
        return len(self.images)

    def class_name(self, label: int) -> str:
        """The name of a label; empty if it is unknown."""
        return "" if label == UNKNOWN_LABEL else self.class_names[label]


@dataclass(frozen=True)
class Finding:
    """What is wrong with an image, probably, and what to do about it.

    Args:
        image: Its index in the pool.
        action: "relabel", "remove", or "review", which leaves the decision to a person.
        reason: Why, in words.
        new_label: The proposed label; `UNKNOWN_LABEL` without one.
        copy_of: Index of the image of which it is a near-duplicate.
    """

    image: int
    action: Action
    reason: str
    new_label: int = UNKNOWN_LABEL
    copy_of: int | None = None


@dataclass(frozen=True, eq=False)
class Audit:
    """What out-of-sample predictions and distances say about the images of a pool, and what follows from it.

    Args:
        pool: The images.
        fold: int64 (N,), the fold of each image; its network was not trained on the image. `NO_FOLD` for an image
            without a label, and for the only image of a class, which no network can judge.
        error_rate: Estimate of the fraction of labels that are wrong.
        log_posterior: log p(label = c | x), float64 (N, Y), calibrated; NaN without a fold.
        p_wrong: Probability that the label is wrong, float64 (N,); NaN without a fold.
        margin: float64 (N,), in nats: log p(x | label) minus the best log p(x | c) of another class for a density, the
            difference of the logits for a dedicated classifier; NaN without a fold.
        outlier_score: float64 (N,), how many interquartile ranges the outlier score of an image is above the upper
            quartile; NaN where there is no score.
        duplicates: The near-duplicates.
    """

    pool: Pool
    fold: Tensor
    error_rate: float
    log_posterior: Tensor
    p_wrong: Tensor
    margin: Tensor
    outlier_score: Tensor
    duplicates: NearDuplicates

    @classmethod
    def of(
        cls,
        pool: Pool,
        fold: Tensor,
        evidence: Tensor,
        log_prior: Tensor,
        outlier_score: Tensor,
        duplicates: NearDuplicates,
    ) -> "Audit":
        """Calibrates the evidence by temperatures that are fitted to other images, and judges the labels by it.

        Args:
            pool, fold, outlier_score, duplicates: As in the class.
            evidence: log p(x | c) of a density, or the logits of a dedicated classifier, float64 (N, Y).
            log_prior: log p(c), (Y,), which is added to the evidence; zeros for logits.
        """
        judged = fold != NO_FOLD
        labels, of_judged = pool.images.labels[judged], evidence[judged]
        calibrated = cross_fitted(of_judged, log_prior, labels)
        if calibrated is None:  # too few images
            calibrated = log_posterior(of_judged, log_prior)
        error_rate = label_error_rate(calibrated.exp(), labels)
        posterior = torch.full_like(evidence, torch.nan)
        margin, wrong = torch.full((2, len(pool)), torch.nan, dtype=torch.float64)
        posterior[judged] = calibrated
        margin[judged] = label_margin(of_judged, labels)
        wrong[judged] = p_wrong(calibrated.exp(), labels, error_rate)
        return cls(pool, fold, error_rate, posterior, wrong, margin, outlier_score, duplicates)

    @cached_property
    def judged(self) -> Tensor:
        """int64 (n,), the images that a network has judged."""
        return (self.fold != NO_FOLD).nonzero()[:, 0]

    @cached_property
    def classification(self) -> Classification:
        """Metrics of the out-of-sample predictions against the labels as they are."""
        predicted = self.log_posterior[self.judged].argmax(dim=1)
        return Classification.of(predicted, self.pool.images.labels[self.judged], self.pool.class_names)

    @cached_property
    def log_p_label(self) -> Tensor:
        """log p(label | x) of each image, float64 (N,); NaN without a fold."""
        return self.log_posterior.gather(1, self.pool.images.labels.clamp(min=0)[:, None])[:, 0]

    @cached_property
    def mislabelled(self) -> list[Finding]:
        """The images whose label is rather wrong than right, the surest first, each with its most probable class."""
        best = self.log_posterior.nan_to_num(-torch.inf).argmax(dim=1)
        is_wrong = (self.p_wrong.nan_to_num(0) > 0.5) & (best != self.pool.images.labels)
        wrong = is_wrong.nonzero()[:, 0]
        return [
            Finding(
                image,
                "relabel",
                f"the label is wrong with a probability of {self.p_wrong[image]:.3f}",
                new_label=int(best[image]),
            )
            for image in wrong[self.log_p_label[wrong].argsort(stable=True)].tolist()
        ]

    @cached_property
    def copies(self) -> list[Finding]:
        """The near-duplicates to remove, so that one image of each group is left.

        The copy in test is kept, else that in validation, because these images are compared with other results. In one
        split the image is kept whose label is the most probable, and of equals the first.
        """
        found = []
        for group in self.duplicates.groups:
            kept, *others = sorted(group.tolist(), key=self._order_of_keeping)
            for image in sorted(others):
                equal = torch.equal(self.pool.images.pixels[image], self.pool.images.pixels[kept])
                words = ["the same pixels as" if equal else "a near-duplicate of", self._place(kept)]
                if self.pool.images.labels[image] != self.pool.images.labels[kept]:
                    words.append("with another label")
                found.append(Finding(image, "remove", " ".join(words), copy_of=kept))
        return found

    def _order_of_keeping(self, image: int) -> tuple[int, float, int]:
        return KEEP_FIRST.index(self.pool.split[image]), -float(self.log_p_label[image].nan_to_num(0)), image

    def _place(self, image: int) -> str:
        name, split = self.pool.images.names[image], self.pool.split[image]
        return name if len(set(self.pool.split)) == 1 or name.startswith(f"{split}/") else f"{name} ({split})"

    @cached_property
    def out_of_place(self) -> list[Finding]:
        """The images that are unlike all others, the highest score first."""
        outliers = (self.outlier_score.nan_to_num(0) > FENCE).nonzero()[:, 0]
        return [
            Finding(
                image,
                "review",
                f"unlike the others: its score is {self.outlier_score[image]:.1f} interquartile ranges above the upper "
                f"quartile, more than {FENCE:g}",
            )
            for image in outliers[self.outlier_score[outliers].argsort(descending=True, stable=True)].tolist()
        ]

    @cached_property
    def findings(self) -> list[Finding]:
        """One proposal for each image that something is wrong with: removal, else a new label, else a review."""
        found: dict[int, Finding] = {}
        for each in (*self.copies, *self.mislabelled, *self.out_of_place):
            found.setdefault(each.image, each)
        return list(found.values())

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "images": len(self.pool),
            "judged": len(self.judged),
            "accuracy": self.classification.as_dict()["accuracy"],
            "accuracy_interval": self.classification.as_dict()["accuracy_interval"],
            "mislabelled": len(self.mislabelled),
            "label_error_rate": self.error_rate,
            "near_duplicates": len(self.copies),
            "near_duplicates_across_splits": sum(self._is_across(each) for each in self.copies),
            "out_of_place": len(self.out_of_place),
            "duplicate_threshold": self.duplicates.threshold,
            "intrinsic_dimension": self.duplicates.intrinsic_dimension,
        }

    def _is_across(self, finding: Finding) -> bool:
        return finding.copy_of is not None and self.pool.split[finding.image] != self.pool.split[finding.copy_of]


def excess(scores: Tensor) -> Tensor:
    """Scores above the upper quartile, in interquartile ranges, (n,).

    >>> excess(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 14.0])).tolist()[-1] > FENCE
    True
    """
    low, high = torch.quantile(scores.double(), torch.tensor([0.25, 0.75], dtype=torch.float64))
    above: Tensor = (scores.double() - high) / (high - low).clamp(min=torch.finfo(torch.float64).tiny)
    return above


def folds_of(labels: Tensor, groups: Tensor, count: int, seed: int) -> Tensor:
    """Divides labelled images into folds, stratified by class; near-duplicates are in one fold.

    Otherwise a copy in the training images would speak for the label that it shares.

    Args:
        labels: int64 (N,), `UNKNOWN_LABEL` where unknown.
        groups: int64 (N,), the group of near-duplicates of each image.
        count: Number of folds, at least 2.
        seed: Random seed.

    Returns:
        int64 (N,), 0 .. count-1, or `NO_FOLD` for an image without a label, and for an image of whose class no image
        would be left in the training images.
    """
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    fold = torch.full_like(labels, NO_FOLD)
    known = (labels != UNKNOWN_LABEL).nonzero()[:, 0]
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # such classes are treated below
        parts = splitter.split(known.numpy(), labels[known].numpy(), groups[known].numpy())
        for number, (_, held_out) in enumerate(parts):
            fold[known[torch.from_numpy(held_out)]] = number
    for label in labels[known].unique().tolist():
        of_class = labels == label
        if len(fold[of_class].unique()) == 1:  # all in one fold
            fold[of_class] = NO_FOLD
    return fold
