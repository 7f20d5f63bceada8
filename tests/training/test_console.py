import re

from runs import tiny_module

from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule


def test_each_epoch_prints_one_line_with_its_figures_and_no_bar_where_there_is_no_terminal(
    tmp_path, capsys, monkeypatch
):
    measure, bits = TrainingModule.epoch_figures, iter([2.5, 2.75])
    monkeypatch.setattr(
        TrainingModule,
        "epoch_figures",
        lambda module: (
            measure(module) | {"train/bits_per_dim": 1.0, "val/bits_per_dim": next(bits), "val/accuracy": 0.5}
        ),
    )
    fit(tiny_module(), tmp_path, {})
    output = capsys.readouterr()
    lines = [re.sub(r"[\d.]+ s", "T s", line) for line in output.err.splitlines()]
    assert lines == [
        "epoch   1/2   bits per dimension: train 1.000, validation 2.500   accuracy 0.500   T s   best so far",
        "epoch   2/2   bits per dimension: train 1.000, validation 2.750   accuracy 0.500   T s",
    ]
    assert output.out == ""
