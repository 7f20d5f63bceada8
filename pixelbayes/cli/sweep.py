"""The command sweep."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pixelbayes.cli.options import run_folder, show_folder, show_pairs, source_name
from pixelbayes.utils.errors import InputError

if TYPE_CHECKING:
    from pixelbayes.report.sweep_record import SweepRecord


def sweep(arguments: list[str]) -> None:
    """Search the fields of a config: train many settings, in several processes or on several machines."""
    from pixelbayes.cli.config_parser import ConfigParser
    from pixelbayes.experiments.plan import with_fields
    from pixelbayes.experiments.presets import PRESETS
    from pixelbayes.experiments.sweep import SweepRunConfig, parse_param, read_trials, with_wandb_sweep
    from pixelbayes.experiments.sweep import sweep as run_sweep

    presets = {
        name: SweepRunConfig(**{each.name: getattr(preset, each.name) for each in dataclasses.fields(preset)})
        for name, preset in PRESETS.items()
    }
    parser = ConfigParser(
        SweepRunConfig,
        presets,
        start="best",
        prog="pixelbayes sweep",
        description=sweep.__doc__,
        examples=(
            "sweep --preset digits --epochs 12 --param num_filters=8,16,24 --param learning_rate=1e-4..3e-3:log",
            "sweep --data folder:pets --image-size 32 32 --param dropout=0.1..0.5 --budget 12h --out runs/pets-sweep",
        ),
    )
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="a searched field: values such as 40,60,80, or a range such as 1e-4..3e-3:log or 5..25:step=5; repeatable",
    )
    parser.add_argument(
        "--enqueue",
        type=Path,
        metavar="CSV",
        help="table of trials, such as a trials.csv or that of a course project, which are trained first",
    )
    parser.add_argument(
        "--as-results",
        action="store_true",
        help="take the rows of the table that have results as finished trials, and show what they say",
    )
    parser.add_argument(
        "--wandb", type=Path, metavar="FILE", help="YAML file of a sweep of Weights & Biases: read what it searches"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the sweep (default: a new one under runs/)")
    config, other = parser.parse_config(arguments)
    remarks: tuple[str, ...] = ()
    if other.wandb:
        config, remarks = with_wandb_sweep(config, other.wandb, parser.given)
    parameters = config.sweep.parameters | dict(map(parse_param, other.param))
    config = with_fields(config, {"sweep.parameters": parameters})
    if other.print_config:
        print(*remarks, sep="\n", end="\n" * bool(remarks), file=sys.stderr)
        print(config.as_yaml(), end="")
        return
    base = config.base
    if "training.monitor" not in parser.given:  # the best epoch of a trial is the best in what is searched for
        of_bits = next(iter(config.sweep.directions)) == "bits_per_dim"
        base = with_fields(base, {"training.monitor": "bits_per_dim" if of_bits else "accuracy"})
    if other.as_results and not other.enqueue:
        raise InputError("--as-results needs --enqueue CSV, the table with the results")
    table = read_trials(other.enqueue, base) if other.enqueue else None
    out = run_folder(other, f"{source_name(config)}-sweep")
    record = run_sweep(base, config.sweep, out, table=table, as_results=other.as_results, remarks=remarks)
    show_sweep(record, out)


def show_sweep(record: "SweepRecord", out: Path) -> None:
    """Prints what a sweep has found, and its folder."""
    from pixelbayes.metrics.registry import METRICS

    states = [trial.state for trial in record.trials]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    rows = {"trials": ", ".join(counts) or "none, apart from those that were given with their results"}
    if record.best is not None:
        (best,) = (trial for trial in record.trials if trial.number == record.best)
        rows["best"] = f"trial {best.number}"
        rows |= {name: str(value) for name, value in best.settings.items()}
        for metric in record.objectives:
            rows[METRICS[metric].heading] = METRICS[metric].format(best.values[metric])
        if as_good := [str(each.number) for each in record.comparisons[1:] if each.as_good]:
            rows["not to be told apart"] = f"trial {' and trial '.join(as_good)}"
        rows["train it with"] = record.best_command
    show_pairs(f"{record.source}, {record.sampler}", rows)
    show_folder("folder", out)
