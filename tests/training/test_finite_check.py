import pytest
import torch

from pixelbayes.training.finite_check import INTERVAL, FiniteCheck
from pixelbayes.utils.errors import DivergedError


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_value_on_the_cpu_is_checked_at_once(value):
    check = FiniteCheck("Try this")
    check.record("loss", torch.tensor(1.0), 1)
    with pytest.raises(DivergedError, match=f"the loss became {value} at step 2; .* Try this"):
        check.record("loss", torch.tensor(value), 2)


def test_values_on_another_device_are_checked_together_and_the_first_that_is_not_finite_is_named():
    check = FiniteCheck("Try this")
    for step in range(INTERVAL - 1):
        check.record("loss", torch.zeros((), device="meta"), step)  # reading the value of a meta tensor would raise
    check.pending = [("loss", step, torch.tensor(value)) for step, value in ((1, 1.0), (2, torch.inf), (3, torch.nan))]
    with pytest.raises(DivergedError, match=r"the loss became inf at step 2"):
        check.check()
    check.check()  # the values were removed
