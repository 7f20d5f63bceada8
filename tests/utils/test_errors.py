import pickle
from types import SimpleNamespace

import pytest

from pixelbayes.utils.errors import InputError, InterruptedRunError, check_fields


def test_the_first_field_out_of_bounds_is_named_with_its_value():
    config = SimpleNamespace(epochs=1, size=0, name="x")
    check_fields(config, ("epochs",), lambda n: n >= 1, "at least 1")
    with pytest.raises(InputError, match=r"^size is 0, expected at least 1$"):
        check_fields(config, ("epochs", "size"), lambda n: n >= 1, "at least 1")
    with pytest.raises(InputError, match=r"^name is 'x', expected 'y'$"):
        check_fields(config, ("name",), "y".__eq__, "'y'")


def test_faults_beyond_the_limit_are_counted():
    assert str(InputError.listing(["a", "b"], most=2)) == "a\nb"
    assert str(InputError.listing(["a", "b", "c", "d"], most=2)) == "a\nb\n... and 2 more faults like these"


def test_an_interruption_reaches_another_process_with_its_message_and_signal():
    received = pickle.loads(pickle.dumps(InterruptedRunError("stopped after step 3", signal=15)))
    assert (type(received), str(received), received.signal) == (InterruptedRunError, "stopped after step 3", 15)
