import json
from math import sqrt
from statistics import NormalDist

import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_precision, multiclass_recall

from pixelbayes.metrics.classification import Classification, ClassScore, wilson_interval
from pixelbayes.utils.errors import InputError

NAMES = ["burger", "panda", "koala", "pizza"]


@pytest.mark.parametrize("n", [1, 2, 10, 519, 26032])
def test_the_interval_of_a_proportion_is_wilsons_formula(n):
    z = NormalDist().inv_cdf(0.975)
    for successes in {0, 1, n // 3, n - 1, n}:
        p = successes / n
        centre, half = (p + z**2 / (2 * n)), z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        low, high = ((centre + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
        found = wilson_interval(successes, n)
        assert found == pytest.approx((low, high), abs=1e-12)
        assert 0 <= found[0] <= p <= found[1] <= 1
    assert wilson_interval(0, n)[0] == 0  # exactly
    assert wilson_interval(n, n)[1] == 1


def test_without_an_image_the_interval_is_everything():
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (1, 0), (-1, 2), (0, -1)])
def test_impossible_counts_have_no_interval(successes, n):
    with pytest.raises(ValueError, match="must"):
        wilson_interval(successes, n)


def test_scores_equal_a_case_worked_by_hand_with_one_class_absent():
    labels = torch.tensor([0, 0, 0, 1, 1, 3])
    predicted = torch.tensor([0, 0, 1, 1, 0, 0])  # koala never occurs, pizza is never predicted
    result = Classification.of(predicted, labels, NAMES)
    assert result.confusion == ((2, 1, 0, 0), (1, 1, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0))  # rows: true class
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


def test_scores_equal_those_of_torchmetrics():
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


def test_images_without_a_label_are_left_out():
    labels, predicted = torch.tensor([1, -1, 0, -1]), torch.tensor([1, 0, 1, 3])
    assert Classification.of(predicted, labels, NAMES) == Classification.of(predicted[::2], labels[::2], NAMES)
    with pytest.raises(InputError, match=r"^test/ has no labels: usable for everything but accuracy$"):
        Classification.of(predicted, torch.full((4,), -1), NAMES, source="test/")


@pytest.mark.parametrize(
    ("predicted", "labels", "names", "message"),
    [
        ([0, 1], [0], NAMES, r"shapes \(2,\) and \(1,\)"),
        ([0, 4], [0, 1], NAMES, r"predicted contains values in 0 \.\. 4, expected 0 \.\. 3"),
        ([-1, 1], [0, 1], NAMES, r"predicted contains values in -1 \.\. 1"),
        ([0, 1], [0, -2], NAMES, r"labels contains values in -2 \.\. 0, expected -1 \.\. 3"),
        ([0, 1], [0, 1], ["cat", "cat"], "all different"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(predicted, labels, names, message):
    with pytest.raises(ValueError, match=message):
        Classification.of(torch.tensor(predicted), torch.tensor(labels), names)


def test_as_dict_survives_json():
    result = Classification.of(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), NAMES)
    read = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert read["per_class"]["panda"] == {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1}
    assert read["confusion"][0] == [1, 1, 0, 0]
    assert read["accuracy_interval"] == list(result.accuracy_interval)
