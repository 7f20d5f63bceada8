import json
import math

import pytest

from pixelbayes.checkpoints.calibration_record import FittedTemperature, Typical
from pixelbayes.utils.errors import InputError

FITTED = {
    "temperature": 37.5,
    "weights": "0123456789abcdef",
    "source": "folder:zoo",
    "split": "validation",
    "data": "fedcba9876543210",
    "n": 519,
    "nll_before": 12.5,
    "nll_after": 0.7,
}
TYPICAL = Typical(bits_per_dim=3.5, limits={"likelihood": 4.25, "complexity": None})


@pytest.mark.parametrize("typical", [None, TYPICAL])
def test_what_is_read_is_what_was_written(typical, tmp_path):
    fitted = FittedTemperature(**FITTED, typical=typical)
    fitted.write(tmp_path / "calibration.json")
    assert FittedTemperature.read(tmp_path / "calibration.json") == fitted
    assert fitted.origin == "fitted on folder:zoo, validation"


@pytest.mark.parametrize("temperature", [0, -1, math.nan, math.inf, "hot", None])
def test_a_temperature_is_a_positive_finite_number(temperature):
    with pytest.raises(ValueError, match=r"temperature is .*, expected a positive, finite number"):
        FittedTemperature(**FITTED | {"temperature": temperature})


def test_a_damaged_file_is_refused_by_name_with_the_remedy(tmp_path):
    path = tmp_path / "calibration.json"
    whole = json.dumps(FITTED)
    damaged = [
        "",
        whole[:50],
        "[]",
        "3",
        json.dumps({name: value for name, value in FITTED.items() if name != "weights"}),
        json.dumps(FITTED | {"spin": 1}),
        json.dumps(FITTED | {"temperature": -2}),
        json.dumps(FITTED | {"typical": {"bits_per_dim": 3}}),
        json.dumps(FITTED | {"typical": [1]}),
        json.dumps(FITTED | {"typical": {"bits_per_dim": 3, "limits": [4]}}),
        json.dumps(FITTED | {"typical": {"bits_per_dim": 3, "limits": {"likelihood": "4"}}}),
    ]
    for text in damaged:
        path.write_text(text)
        with pytest.raises(InputError, match=r"calibration.json: not understood \(.*\); delete it, or run") as error:
            FittedTemperature.read(path)
        assert "\n" not in str(error.value)
    path.write_text(whole)
    assert FittedTemperature.read(path) == FittedTemperature(**FITTED)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"calibration.json: not understood"):
        FittedTemperature.read(path)
