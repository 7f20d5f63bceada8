from pixelbayes.utils.config_diff import config_differences, flatten

ONE = {"seed": 0, "model": {"num_filters": 8, "fusion": "film"}, "data": {"fractions": {}}}


def test_equal_configs_do_not_differ():
    assert config_differences(ONE, ONE) == []
    assert config_differences(ONE) == []


def test_a_missing_field_is_a_difference_unless_it_is_none():
    model = {"num_filters": 8, "fusion": "film", "depth": 2, "prior": None}
    other = {"seed": 0, "model": model, "data": {"fractions": None}}
    assert config_differences(ONE, other) == ["data.fractions", "model.depth"]


def test_each_differing_field_of_several_configs_is_named_once_in_the_order_of_the_first():
    assert config_differences(ONE, {**ONE, "seed": 1}, {**ONE, "model": {"num_filters": 9, "fusion": "stem"}}) == [
        "seed",
        "model.num_filters",
        "model.fusion",
    ]


def test_a_flattened_config_has_every_value_under_its_dotted_name():
    assert flatten(ONE) == {"seed": 0, "model.num_filters": 8, "model.fusion": "film", "data.fractions": {}}
