"""Trials that train in milliseconds, for tests of a sweep: their results are a written function of their settings."""

import json
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from pixelbayes.evaluation.history import read_history, write_history
from pixelbayes.experiments import ExperimentConfig
from pixelbayes.experiments.sweep import SweepConfig, SweepRunConfig, phases, sweep
from pixelbayes.experiments.sweep.phases import TrialEntry
from pixelbayes.report.page import Page
from pixelbayes.training import TrainingConfig
from pixelbayes.utils.errors import InputError, StoppedEarlyError
from pixelbayes.utils.files import write_text

BASE = SweepRunConfig().base
SPACE = {"model.num_filters": [4, 8, 16, 32], "training.learning_rate": "1e-4..1e-2:log"}


@dataclass(frozen=True)
class FakeEntry(TrialEntry):
    """Trains nothing: the NLL after an epoch is that of `nll_after`, and each epoch takes PAUSE seconds."""

    def train(self, seed, folder, eval_split, data, on_epoch):
        rows = read_history(folder.history)
        for epoch in range(len(rows) + 1, self.config.training.epochs + 1):
            time.sleep(float(os.environ.get("PAUSE", "0")))
            rows.append({"epoch": epoch, "val/nll": nll_after(self.config, seed, epoch), "seconds": 1.0})
            write_history(rows, folder.history)
            with (folder.path / "trained.txt").open("a") as file:  # which epochs were trained, and by whom
                file.write(f"{epoch} {os.getpid()}\n")
            if on_epoch and not on_epoch(rows[-1]) and epoch < self.config.training.epochs:
                raise StoppedEarlyError("stopped", 15)
        if self.config.model.num_filters == int(os.environ.get("FAILS", "0")):
            raise InputError("no such luck")
        metrics = {"nll": nll_after(self.config, seed, epoch), "accuracy": 0.5, "accuracy_interval": [0.4, 0.6]}
        metrics |= {"bits_per_dim": 2.0, "parameters": 7}
        write_text(folder.metrics, json.dumps(metrics))
        write_text(folder.best, "weights")
        return metrics


def nll_after(config: ExperimentConfig, seed: int, epoch: int) -> float:
    """The NLL of a config after an epoch."""
    return 1 / config.model.num_filters + config.training.learning_rate + 0.1 / epoch + 1e-3 * seed


def fake_base(epochs=9) -> ExperimentConfig:
    """The config that a sweep of fake trials starts from."""
    return replace(BASE, training=TrainingConfig(epochs=epochs, logger="none", device="cpu"))


def fake_sweep(out: Path, *, epochs=9, table=None, as_results=False, **options):
    """A sweep of fake trials; the other options are fields of SweepConfig."""
    options = {"parameters": SPACE, "workers": 1, "trials": 6, "repeat_best": 2, "heartbeat": 1, **options}
    page = "pixelbayes.experiments.sweep.sweep.sweep_page"  # takes seconds to draw, and has tests of its own
    with patch.object(phases, "TrialEntry", FakeEntry), patch(page, lambda record: Page(title=record.source)):
        return sweep(fake_base(epochs), SweepConfig(**options), out, table=table, as_results=as_results)


if __name__ == "__main__":  # a sweep in a process of its own: OUT and the options as JSON
    fake_sweep(Path(sys.argv[1]), **json.loads(sys.argv[2]))
