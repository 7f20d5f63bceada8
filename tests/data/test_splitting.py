from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from pixelbayes.data.splitting import stratified

FRACTIONS = {"validation": 0.15, "test": 0.15}


@settings(max_examples=40)
@given(st.lists(st.integers(-1, 3), max_size=60), st.integers(0, 5))
def test_every_image_is_in_one_part_and_each_part_keeps_the_order(labels, seed):
    parts = stratified(labels, FRACTIONS, seed)
    assert sorted(index for part in parts.values() for index in part) == list(range(len(labels)))
    assert all(part == sorted(part) for part in parts.values())


@settings(max_examples=40)
@given(st.lists(st.integers(0, 3), max_size=200), st.integers(0, 5))
def test_each_class_of_three_or_more_gives_its_rounded_fraction_and_at_least_one(labels, seed):
    parts = stratified(labels, FRACTIONS, seed)
    for label, n in Counter(labels).items():
        expected = max(1, round(0.15 * n)) if n >= 3 else 0
        assert [sum(labels[index] == label for index in parts[name]) for name in FRACTIONS] == [expected, expected]


def test_the_seed_determines_which_images_are_cut():
    assert len({tuple(stratified([0] * 40, FRACTIONS, seed)["test"]) for seed in range(5)}) == 5


@given(st.integers(1, 12), st.floats(0.01, 0.6), st.floats(0.01, 0.39))
def test_every_class_keeps_an_image_for_training_and_every_part_has_one_of_three(n, validation, test):
    parts = stratified([0] * n, {"validation": validation, "test": test}, seed=0)
    assert len(parts["train"]) >= 1
    assert n < 3 or all(parts.values())
