import re

from runs import tiny_module

from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule


def test_each_epoch_prints_one_line_and_without_a_terminal_there_is_no_progress_bar(tmp_path, capsys, monkeypatch):
    epoch_metrics, bits = TrainingModule.epoch_metrics, iter([2.5, 2.75])

    def scripted(module):
        script = {"train/bits_per_dim": 1.0, "val/bits_per_dim": next(bits), "val/accuracy": 0.5}
        return epoch_metrics(module) | script

    monkeypatch.setattr(TrainingModule, "epoch_metrics", scripted)
    fit(tiny_module(), tmp_path)
    output = capsys.readouterr()
    lines = [re.sub(r"[\d.]+ s", "T s", line) for line in output.err.splitlines()]
    assert lines == [
        "epoch   1/2   bits per dimension: train 1.000, validation 2.500   accuracy 0.500   T s   best so far",
        "epoch   2/2   bits per dimension: train 1.000, validation 2.750   accuracy 0.500   T s",
    ]
    assert output.out == ""
