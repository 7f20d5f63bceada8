from pixelbayes.utils.config_diff import differences, flat

ONE = {"seed": 0, "model": {"num_filters": 8, "fusion": "film"}, "data": {"fractions": {}}}


def test_a_config_differs_from_itself_in_nothing():
    assert differences(ONE, ONE) == []
    assert differences(ONE) == []


def test_a_field_that_one_config_lacks_is_a_difference_unless_it_is_none():
    model = {"num_filters": 8, "fusion": "film", "depth": 2, "prior": None}
    other = {"seed": 0, "model": model, "data": {"fractions": None}}
    assert differences(ONE, other) == ["data.fractions", "model.depth"]


def test_of_many_configs_each_field_is_named_once_in_the_order_of_the_first():
    assert differences(ONE, {**ONE, "seed": 1}, {**ONE, "model": {"num_filters": 9, "fusion": "stem"}}) == [
        "seed",
        "model.num_filters",
        "model.fusion",
    ]


def test_flat_names_lead_to_every_value():
    assert flat(ONE) == {"seed": 0, "model.num_filters": 8, "model.fusion": "film", "data.fractions": {}}
