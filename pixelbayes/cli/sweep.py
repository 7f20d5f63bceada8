"""The command sweep."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from pixelbayes.cli.options import run_folder, show_folder, show_pairs, source_name

if TYPE_CHECKING:
    from pixelbayes.report.sweep_record import SweepRecord


def sweep(arguments: list[str]) -> None:
    """Search the fields of a config: train many settings, in several processes or on several machines."""
    from pixelbayes.cli.config_parser import ConfigParser
    from pixelbayes.experiments.plan import with_fields
    from pixelbayes.experiments.presets import PRESETS
    from pixelbayes.experiments.sweep import SweepRunConfig, parse_param
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
            "sweep --config pets-sweep.yaml --data folder:pets --budget 12h --out runs/pets-sweep",
        ),
    )
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="a searched field: values such as 40,60,80, or a range such as 1e-4..3e-3:log or 5..25:step=5; repeatable",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the sweep (default: a new one under runs/)")
    config, other = parser.parse_config(arguments)
    parameters = config.sweep.parameters | dict(map(parse_param, other.param))
    config = dataclasses.replace(config, sweep=dataclasses.replace(config.sweep, parameters=parameters))
    if other.print_config:
        print(config.as_yaml(), end="")
        return
    base = config.base
    if "training.monitor" not in parser.given:  # the best epoch of a trial is the best in what is searched for
        of_bits = next(iter(config.sweep.directions)) == "bits_per_dim"
        base = with_fields(base, {"training.monitor": "bits_per_dim" if of_bits else "accuracy"})
    out = run_folder(other, f"{source_name(config)}-sweep")
    show_sweep(run_sweep(base, config.sweep, out), out)


def show_sweep(record: "SweepRecord", out: Path) -> None:
    """Prints what a sweep has found, and its folder."""
    from pixelbayes.metrics.registry import METRICS

    states = [trial.state for trial in record.trials]
    rows = {"trials": ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))}
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
