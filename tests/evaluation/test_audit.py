from dataclasses import replace

import pytest
import torch
from networks import random_images, tiny_model

from pixelbayes.data import Split
from pixelbayes.evaluation.audit import FENCE, NO_FOLD, Audit, Pool, excess, folds_of
from pixelbayes.metrics.label_errors import p_wrong
from pixelbayes.metrics.near_duplicates import NearDuplicates

UNKNOWN = -1
NAMES = ("ant", "bee")
RATE = 0.2


@pytest.fixture
def audit():
    """Eight images; 1 and 5 are mislabelled, 2 and 6 of train repeat test image 7, 4 is alone in its fold's tail."""
    pixels = random_images(8, tiny_model().config, seed=0)
    pixels[2] = pixels[7]
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 0, 0])
    p_ant = torch.tensor([0.9, 0.15, 0.8, 0.1, 0.2, 0.97, 0.9, 0.7], dtype=torch.float64)
    log_posterior = torch.stack((p_ant, 1 - p_ant), dim=1).log()
    return Audit(
        pool=Pool(
            images=Split(pixels, labels, tuple(f"{i}.png" for i in range(8))),
            split=("train",) * 7 + ("test",),
            position=(*range(7), 0),
            class_names=NAMES,
        ),
        fold=torch.tensor([0, 1, 0, 1, 0, 1, 0, 1]),
        error_rate=RATE,
        log_posterior=log_posterior,
        p_wrong=p_wrong(log_posterior.exp(), labels, RATE),
        margin=torch.zeros(8),
        outlier_score=torch.tensor([0.0, 0, 0, 0, FENCE + 1, FENCE + 2, FENCE, 0]),
        duplicates=NearDuplicates(torch.tensor([0, 1, 2, 3, 4, 5, 2, 2]), torch.ones(8), torch.ones(8), 0.5, 10.0),
    )


def test_the_surest_label_error_comes_first_and_has_the_class_it_probably_belongs_to(audit):
    assert [(each.image, each.new_label) for each in audit.mislabelled] == [(5, 0), (1, 1)]
    assert audit.mislabelled[0].reason == "the label is wrong with a probability of 1.000"  # 0.03 is less than chance


def test_of_near_duplicates_the_test_image_is_kept_and_the_words_say_whether_the_pixels_are_equal(audit):
    assert [(each.image, each.copy_of, each.reason) for each in audit.copies] == [
        (2, 7, "the same pixels as 7.png (test)"),
        (6, 7, "a near-duplicate of 7.png (test)"),
    ]
    assert audit.summary()["near_duplicates_across_splits"] == 2


def test_of_near_duplicates_in_one_split_the_surest_label_is_kept(audit):
    pool = replace(audit.pool, split=("train",) * 8)
    assert [each.copy_of for each in replace(audit, pool=pool).copies] == [6, 6]
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])
    pool = replace(pool, images=replace(pool.images, labels=labels))
    changed = replace(audit, pool=pool, p_wrong=p_wrong(audit.log_posterior.exp(), labels, RATE))
    assert [(each.image, each.copy_of) for each in changed.copies] == [(6, 2), (7, 2)]
    assert changed.copies[0].reason.endswith("with another label")


def test_an_image_has_one_proposal_and_removal_comes_before_a_new_label_and_that_before_a_review(audit):
    assert [(each.image, each.action) for each in audit.findings] == [
        (2, "remove"),
        (6, "remove"),
        (5, "relabel"),
        (1, "relabel"),
        (4, "review"),
    ]


def test_images_that_no_network_judged_have_no_findings_of_their_own(audit):
    fold = torch.tensor([0, 1, 0, 1, NO_FOLD, NO_FOLD, 0, 1])
    unknown = torch.where(fold == NO_FOLD, torch.nan, 0.0)
    found = replace(
        audit,
        fold=fold,
        log_posterior=audit.log_posterior + unknown[:, None],
        p_wrong=audit.p_wrong + unknown,
        outlier_score=audit.outlier_score + unknown,
    )
    assert {each.image for each in found.findings} == {1, 2, 6}
    assert found.summary()["judged"] == 6


def test_folds_are_stratified_and_hold_near_duplicates_together():
    labels = torch.arange(60) % 3
    groups = torch.arange(60).clamp(min=3)  # the first four are near-duplicates of each other
    fold = folds_of(labels, groups, 3, seed=0)
    assert len(fold[:4].unique()) == 1
    assert all(abs(torch.bincount(fold[labels == label]) - 20 / 3).max() <= 2 for label in range(3))
    assert not torch.equal(fold, folds_of(labels, groups, 3, seed=1))


def test_images_without_a_label_and_classes_that_training_would_lack_have_no_fold():
    labels = torch.tensor([0, 0, 0, 0, 1, 2, 2, UNKNOWN])
    groups = torch.tensor([0, 1, 2, 3, 4, 5, 5, 6])  # the only two images of class 2 are near-duplicates
    fold = folds_of(labels, groups, 2, seed=0)
    assert (fold == NO_FOLD).tolist() == [False] * 4 + [True] * 4


def test_the_excess_is_zero_at_the_upper_quartile_and_counts_interquartile_ranges():
    scores = torch.arange(101.0)
    assert excess(scores)[[75, 100]].tolist() == [0.0, 0.5]
    assert not excess(torch.ones(5)).any()
