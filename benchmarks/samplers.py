"""Compares the samplers of a sweep at equal numbers of trials, on results that a grid has measured once.

pixelbayes sweep ... --sampler grid --prune false --repeat-best 0 --out runs/grid
python -m benchmarks.samplers runs/grid

Every trial of the comparison is looked up in the grid, so all samplers see the same results, and five seeds of each
cost nothing. A combination that is proposed again counts as a trial.
"""

import argparse
import json
import statistics
from pathlib import Path

from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from pixelbayes.experiments.sweep.space import Choice, SearchSpace
from pixelbayes.experiments.sweep.storage import quiet_optuna
from pixelbayes.experiments.sweep.study import SweepStudy
from pixelbayes.report.sweep_record import SweepRecord
from pixelbayes.utils.run_folder import RunFolder

SAMPLERS = ("random", "tpe", "gp")
SEEDS = range(5)


def best_so_far(record: SweepRecord, space: SearchSpace, sampler: str, seed: int, trials: int) -> list[float]:
    """The best value after each trial, of a search that looks its results up in a grid."""
    results = {tuple(trial.settings[name] for name in space): trial.values[record.metric] for trial in record.finished}
    direction = record.objectives[record.metric]
    study = SweepStudy(f"{sampler} {seed}", InMemoryStorage(), [direction], space=space, sampler=sampler, seed=seed)
    best: list[float] = []
    for _ in range(trials):
        trial = study.ask(lambda _: True)
        assert trial is not None
        value = results[tuple(trial.params[name] for name in space)]
        study.tell(trial, [value], TrialState.COMPLETE)
        best.append((min if direction == "minimise" else max)([value, *best[-1:]]))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="folder of a finished sweep of a grid")
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 20, 30], help="numbers of trials to compare at")
    options = parser.parse_args()
    record = SweepRecord.read(RunFolder(options.sweep).sweep)
    names = list(record.parameters)
    space: SearchSpace = {
        name: Choice(tuple(dict.fromkeys(trial.settings[name] for trial in record.finished))) for name in names
    }
    values = sorted(trial.values[record.metric] for trial in record.finished)
    print(f"{len(values)} combinations; {record.metric} from {values[0]:.4f} to {values[-1]:.4f}")
    found = {}
    with quiet_optuna():
        for sampler in SAMPLERS:
            runs = [best_so_far(record, space, sampler, seed, max(options.trials)) for seed in SEEDS]
            for count in options.trials:
                at = [run[count - 1] for run in runs]
                found[f"{sampler}, {count} trials"] = at
                shown = " ".join(f"{value:.4f}" for value in at)
                print(f"{sampler:>6}, best of {count:3d}: mean {statistics.fmean(at):.4f}, seeds {shown}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
