import json
import math

import pytest

from pixelbayes.checkpoints.calibration_record import CalibrationRecord, OODReference
from pixelbayes.utils.errors import InputError

FIELDS = {
    "temperature": 37.5,
    "weights": "0123456789abcdef",
    "source": "folder:zoo",
    "split": "validation",
    "data": "fedcba9876543210",
    "n": 519,
    "nll_before": 12.5,
    "nll_after": 0.7,
}
OOD = OODReference(bits_per_dim=3.5, limits={"likelihood": 4.25, "complexity": None})


@pytest.mark.parametrize("ood", [None, OOD])
def test_a_record_is_read_as_it_was_written(ood, tmp_path):
    record = CalibrationRecord(**FIELDS, views=2, masks=4, combine="product", ood=ood)
    record.write(tmp_path / "calibration.json")
    assert CalibrationRecord.read(tmp_path / "calibration.json") == record
    assert record.origin == "fitted on folder:zoo, validation"


@pytest.mark.parametrize("temperature", [0, -1, math.nan, math.inf, "hot", None])
def test_a_temperature_is_a_positive_finite_number(temperature):
    with pytest.raises(ValueError, match=r"temperature is .*, expected a positive, finite number"):
        CalibrationRecord(**FIELDS | {"temperature": temperature})


def test_a_damaged_file_is_rejected_with_its_name_and_the_remedy(tmp_path):
    path = tmp_path / "calibration.json"
    complete = json.dumps(FIELDS)
    damaged = [
        "",
        complete[:50],
        "[]",
        "3",
        json.dumps({name: value for name, value in FIELDS.items() if name != "weights"}),
        json.dumps(FIELDS | {"spin": 1}),
        json.dumps(FIELDS | {"temperature": -2}),
        json.dumps(FIELDS | {"ood": {"bits_per_dim": 3}}),
        json.dumps(FIELDS | {"ood": [1]}),
        json.dumps(FIELDS | {"ood": 3.5}),
        json.dumps(FIELDS | {"ood": {"bits_per_dim": 3, "limits": [4]}}),
        json.dumps(FIELDS | {"ood": {"bits_per_dim": 3, "limits": {"likelihood": "4"}}}),
    ]
    for text in damaged:
        path.write_text(text)
        with pytest.raises(InputError, match=r"calibration.json: not a valid calibration \(.*\); delete") as error:
            CalibrationRecord.read(path)
        assert "\n" not in str(error.value)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"calibration.json: not a valid calibration"):
        CalibrationRecord.read(path)
    path.write_text(complete)
    assert CalibrationRecord.read(path) == CalibrationRecord(**FIELDS)
