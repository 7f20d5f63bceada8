import json

import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_precision, multiclass_recall

from pixelbayes.metrics.classification import Classification, ClassScore, wilson_interval
from pixelbayes.utils.errors import InputError

NAMES = ["burger", "panda", "koala", "pizza"]


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (95, 100, 0.8882, 0.9785),
        (0, 10, 0.0, 0.2775),  # z^2 / (n + z^2)
        (10, 10, 0.7225, 1.0),
        (1, 2, 0.0945, 0.9055),
        (395, 519, 0.7226, 0.7958),
    ],
)
def test_wilson_interval_equals_values_worked_by_hand(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_bounds_solve_the_z_test_they_invert():
    for bound in wilson_interval(7, 30):
        z = (7 / 30 - bound) / (bound * (1 - bound) / 30) ** 0.5
        assert abs(z) == pytest.approx(1.959964, abs=1e-6)


def test_wilson_interval_never_leaves_0_to_1_and_is_exact_at_the_ends():
    for n in range(1, 60):
        assert wilson_interval(0, n)[0] == 0
        assert wilson_interval(n, n)[1] == 1
        assert all(0 <= low <= k / n <= high <= 1 for k in range(n + 1) for low, high in [wilson_interval(k, n)])


def test_without_a_trial_the_interval_is_everything():
    assert wilson_interval(0, 0) == (0, 1)


def test_more_confidence_takes_a_wider_interval():
    low, high = wilson_interval(80, 100, confidence=0.99)
    assert low < wilson_interval(80, 100)[0]
    assert high > wilson_interval(80, 100)[1]


@pytest.mark.parametrize(("successes", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 95)])
def test_a_proportion_that_is_none_has_no_interval(successes, n, confidence):
    with pytest.raises(ValueError, match="expected"):
        wilson_interval(successes, n, confidence)


def test_scores_equal_a_case_worked_by_hand_with_one_class_absent():
    labels = torch.tensor([0, 0, 0, 1, 1, 3])
    predicted = torch.tensor([0, 0, 1, 1, 0, 0])  # koala occurs nowhere, pizza is never predicted
    result = Classification.of(predicted, labels, NAMES)
    assert result.confusion == ((2, 1, 0, 0), (1, 1, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0))  # rows: true
    assert result.n == 6
    assert result.accuracy == 3 / 6
    assert result.accuracy_interval == wilson_interval(3, 6)
    assert result.per_class == {
        "burger": ClassScore(precision=2 / 4, recall=2 / 3, f1=4 / 7, support=3),
        "panda": ClassScore(precision=1 / 2, recall=1 / 2, f1=1 / 2, support=2),
        "koala": ClassScore(precision=0, recall=0, f1=0, support=0),
        "pizza": ClassScore(precision=0, recall=0, f1=0, support=1),
    }
    assert result.macro_f1 == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)  # over burger, panda and pizza


def test_a_class_that_is_only_predicted_counts_in_macro_f1():
    result = Classification.of(torch.tensor([0, 2]), torch.tensor([0, 0]), NAMES)
    assert result.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_scores_agree_with_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    labels, predicted = torch.randint(0, 7, (2, 200), generator=generator)
    names = [f"class {c}" for c in range(9)]  # the last two never occur
    result = Classification.of(predicted, labels, names)
    for field, metric in (
        ("f1", multiclass_f1_score),
        ("precision", multiclass_precision),
        ("recall", multiclass_recall),
    ):
        expected = metric(predicted, labels, num_classes=9, average="none")
        torch.testing.assert_close(torch.tensor([getattr(s, field) for s in result.per_class.values()]), expected)
    assert result.macro_f1 == pytest.approx(multiclass_f1_score(predicted, labels, 9, average="macro").item())


def test_images_without_label_are_left_out():
    labels, predicted = torch.tensor([1, -1, 0, -1]), torch.tensor([1, 0, 1, 3])
    assert Classification.of(predicted, labels, NAMES) == Classification.of(predicted[::2], labels[::2], NAMES)


def test_data_without_any_label_is_named_in_the_error():
    with pytest.raises(InputError, match=r"^test/ has no labels: usable for everything but accuracy$"):
        Classification.of(torch.tensor([0, 1]), torch.tensor([-1, -1]), NAMES, source="test/")


@pytest.mark.parametrize(
    ("predicted", "labels", "names", "message"),
    [
        ([0, 1], [0], NAMES, r"shapes \(2,\) and \(1,\)"),
        ([0, 4], [0, 1], NAMES, r"predicted lies in 0 \.\. 4, expected 0 \.\. 3"),
        ([-1, 1], [0, 1], NAMES, r"predicted lies in -1 \.\. 1"),
        ([0, 1], [0, -2], NAMES, r"labels lies in -2 \.\. 0, expected -1 \.\. 3"),
        ([0, 1], [0, 1], ["cat", "cat"], "all different"),
    ],
)
def test_what_does_not_fit_is_refused(predicted, labels, names, message):
    with pytest.raises(ValueError, match=message):
        Classification.of(torch.tensor(predicted), torch.tensor(labels), names)


def test_as_dict_survives_json():
    result = Classification.of(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), NAMES)
    read = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert read["per_class"]["panda"] == {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1}
    assert read["confusion"][0] == [1, 1, 0, 0]
    assert read["accuracy_interval"] == list(result.accuracy_interval)
