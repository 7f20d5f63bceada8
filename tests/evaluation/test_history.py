import pytest

from pixelbayes.evaluation.history import best_row, read_history, write_history
from pixelbayes.utils.errors import InputError

NAN = float("nan")


@pytest.mark.parametrize("metric", ["bits_per_dim", "cross_entropy"])
@pytest.mark.parametrize(
    ("monitor", "table", "best"),
    [
        ("metric", [(3.0, 0.9), (2.0, 0.1), (2.5, 0.5)], 1),
        ("metric", [(3.0, 0.1), (2.0, 0.1), (2.0, 0.9)], 1),  # the first of equals
        ("accuracy", [(3.0, 0.5), (2.0, 0.4), (9.0, 0.9)], 2),
        ("accuracy", [(3.0, 0.5), (2.0, 0.5), (2.5, 0.4)], 1),  # the lower metric of equal accuracies
        ("accuracy", [(2.0, 0.5), (2.0, 0.5)], 0),
        ("accuracy", [(3.0, NAN), (2.0, NAN), (2.5, NAN)], 1),  # without labels
    ],
)
def test_the_best_row_is_the_one_found_by_hand(metric, monitor, table, best):
    rows = [{f"val/{metric}": value, "val/accuracy": accuracy} for value, accuracy in table]
    assert best_row(rows, monitor, metric) is rows[best]


def test_a_history_is_read_as_it_was_written(tmp_path):
    rows = [{"epoch": 1, "val/accuracy": 0.5, "seconds": 0.1}, {"epoch": 2, "val/accuracy": 0.75, "seconds": 1e-9}]
    write_history(rows, tmp_path / "history.csv")
    assert read_history(tmp_path / "history.csv") == rows
    assert read_history(tmp_path / "none.csv") == []


@pytest.mark.parametrize("row", ["1,half", "1"])
def test_a_damaged_history_is_refused_by_name(tmp_path, row):
    (tmp_path / "history.csv").write_text(f"epoch,val/accuracy\n{row}\n")
    with pytest.raises(InputError, match=r"history.csv: damaged"):
        read_history(tmp_path / "history.csv")
