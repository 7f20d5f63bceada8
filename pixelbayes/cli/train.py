"""Commands that train."""

from pathlib import Path

from pixelbayes.cli.options import (
    about,
    add_report_on,
    add_run,
    finish,
    fusion_name,
    parser_of,
    run_folder,
    show_pairs,
    source_name,
    with_config_of_run,
)


def train(arguments: list[str]) -> None:
    """Train a network on labelled images."""
    from pixelbayes import experiments as experiment
    from pixelbayes.cli.config_parser import ConfigParser
    from pixelbayes.experiments import presets

    parser = ConfigParser(experiment.ExperimentConfig, presets.PRESETS, **about(train))
    parser.add_argument("--dry-run", action="store_true", help="show config, size, time and memory; train nothing")
    parser.add_argument(
        "--samples", type=int, default=0, metavar="N", help="at the end, FID and KID of N samples of each class"
    )
    add_run(parser)
    config, other = parser.parse_config(with_config_of_run(arguments))
    if other.print_config:
        print(config.as_yaml(), end="")
    elif other.dry_run:
        print(config.as_yaml())
        show_pairs("Estimate", experiment.dry_run(config))
    else:
        run = run_folder(other, f"{source_name(config)}-{fusion_name(config)}")
        figures = experiment.train(config, run, resume=other.resume, report_on=other.report_on, samples=other.samples)
        finish(figures, run)


def baseline(arguments: list[str]) -> None:
    """Train a dedicated classifier, a residual network, on the same data: how far is it ahead?"""
    from pixelbayes.cli.config_parser import ConfigParser
    from pixelbayes.experiments.baseline import BASELINES, BaselineConfig, train_baseline

    parser = ConfigParser(BaselineConfig, BASELINES, **about(baseline))
    add_run(parser)
    config, other = parser.parse_config(with_config_of_run(arguments))
    if other.print_config:
        print(config.as_yaml(), end="")
    else:
        run = run_folder(other, f"{source_name(config)}-baseline")
        finish(train_baseline(config, run, resume=other.resume, report_on=other.report_on), run)


def demo(arguments: list[str]) -> None:
    """Train on handwritten digits, then measure on test images and draw new ones: all the package does, in minutes."""
    parser = parser_of(demo)
    parser.add_argument("--out", type=Path, help="the run folder; one under runs/ if not given")
    options = parser.parse_args(arguments)

    from pixelbayes import experiments as experiment
    from pixelbayes.experiments import presets
    from pixelbayes.experiments import run_folder as runs

    run = options.out or runs.new_run_folder("demo")
    finish(experiment.train(presets.DIGITS, run, report_on="test"), run)


def compare(arguments: list[str]) -> None:
    """Train several fusions or presets on the same data with the same budget, and put them into one table."""
    from pixelbayes import experiments as experiment
    from pixelbayes.cli.config_parser import ConfigParser
    from pixelbayes.experiments import compare as comparison
    from pixelbayes.experiments import presets
    from pixelbayes.experiments import run_folder as runs

    parser = ConfigParser(experiment.ExperimentConfig, presets.PRESETS, **about(compare))
    parser.add_argument("names", metavar="NAME", nargs="+", help="fusions, presets, or baseline")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="a run for each (default: 0 1 2)")
    add_report_on(parser)
    parser.add_argument("--workers", type=int, default=1, help="runs at a time (default: %(default)s)")
    parser.add_argument(
        "--samples", type=int, default=0, metavar="N", help="FID and KID of N samples of each class (default: none)"
    )
    parser.add_argument("--features", default="domain", help="what they are compared by (default: %(default)s)")
    parser.add_argument("--note", default="", metavar="TEXT", help="what readers of the table should know besides")
    parser.add_argument("--out", type=Path, help="the folder of all runs; one under runs/ if not given")
    config, other = parser.parse_config(arguments)
    if other.print_config:
        print(config.as_yaml(), end="")
        return
    out = other.out or runs.new_run_folder("compare")
    comparison.compare(
        other.names,
        config,
        other.seeds,
        out,
        report_on=other.report_on,
        workers=other.workers,
        samples=other.samples,
        features=experiment.FeatureConfig(features=other.features),
        note=other.note,
    )
    print((out / "compare.md").read_text(encoding="utf-8"))
    print(f"folder: {out}\nopen {out / 'index.html'}")
