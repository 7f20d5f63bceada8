"""Commands that train: train, baseline, compare and demo."""

from pathlib import Path

from pixelbayes.cli.options import (
    add_eval_split,
    add_run_options,
    check_count,
    fusion_name,
    make_parser,
    run_folder,
    show_folder,
    show_pairs,
    show_run,
    source_name,
    with_config_of_run,
)


def train(arguments: list[str]) -> None:
    """Train a network on labelled images."""
    from pixelbayes import experiments
    from pixelbayes.cli.config_parser import ConfigParser
    from pixelbayes.experiments.presets import PRESETS

    parser = ConfigParser(
        experiments.ExperimentConfig,
        PRESETS,
        start="best",
        prog="pixelbayes train",
        description=train.__doc__,
        examples=(
            "train --data folder:pets --image-size 32 32 --dry-run",
            "train --data folder:pets --image-size 32 32 --budget 4h --out runs/pets",
        ),
    )
    parser.add_argument(
        "--budget",
        metavar="TIME",
        help="such as 45m or 4h: measure this machine; choose width, epochs and schedule of a run that ends in time",
    )
    parser.add_argument("--dry-run", action="store_true", help="show config, size, time and memory, and stop")
    parser.add_argument(
        "--samples", type=int, default=0, metavar="N", help="at the end, measure FID and KID of N samples of each class"
    )
    add_run_options(parser)
    config, other = parser.parse_config(with_config_of_run(arguments))
    budget = other.budget and experiments.Budget(experiments.parse_duration(other.budget), parser.given)
    if other.print_config:
        print(config.as_yaml(), end="")
    elif other.dry_run:
        config, rows = experiments.dry_run(config, budget)
        print(config.as_yaml())
        show_pairs("Estimate", rows)
    else:
        check_count("samples", other.samples, least=0)
        run = run_folder(other, f"{source_name(config)}-{fusion_name(config)}")
        metrics = experiments.train(
            config, run, resume=other.resume, eval_split=other.eval_split, samples=other.samples, budget=budget
        )
        show_run(metrics, run)


def baseline(arguments: list[str]) -> None:
    """Train a dedicated classifier on the same data, for comparison: a residual network, or a pre-trained one."""
    from pixelbayes.cli.config_parser import ConfigParser
    from pixelbayes.experiments.baseline import BASELINES, BaselineConfig, train_baseline

    parser = ConfigParser(
        BaselineConfig,
        BASELINES,
        prog="pixelbayes baseline",
        description=baseline.__doc__,
        examples=(
            "baseline --preset photographs --data folder:pets --out runs/pets-baseline",
            "baseline --preset fine-tuned --model timm:resnet50 --data folder:pets --out runs/pets-resnet50",
        ),
    )
    add_run_options(parser)
    config, other = parser.parse_config(with_config_of_run(arguments))
    if other.print_config:
        print(config.as_yaml(), end="")
    else:
        run = run_folder(other, f"{source_name(config)}-baseline")
        show_run(train_baseline(config, run, resume=other.resume, eval_split=other.eval_split), run)


def demo(arguments: list[str]) -> None:
    """Train on handwritten digits, measure on test images and draw samples, in minutes."""
    parser = make_parser("demo", demo.__doc__, ("demo", "demo --out runs/demo"))
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: a new one under runs/)")
    options = parser.parse_args(arguments)

    from pixelbayes import experiments
    from pixelbayes.experiments.presets import DIGITS

    run = run_folder(options, "demo")
    show_run(experiments.train(DIGITS, run, eval_split="test"), run)


def compare(arguments: list[str]) -> None:
    """Train several fusions or presets on the same data with the same budget, and compare them in one table."""
    from pixelbayes.cli.config_parser import ConfigParser
    from pixelbayes.experiments import ExperimentConfig, FeatureConfig
    from pixelbayes.experiments.compare import compare as compare_entries
    from pixelbayes.experiments.presets import PRESETS

    parser = ConfigParser(
        ExperimentConfig,
        PRESETS,
        prog="pixelbayes compare",
        description=compare.__doc__,
        examples=(
            "compare film gate-add baseline --preset digits --epochs 12 --workers 2 --out runs/compare",
            "compare film adaln --data folder:pets --image-size 32 32 --seeds 0 1 --samples 25",
        ),
    )
    parser.add_argument("names", metavar="NAME", nargs="+", help="fusions, presets, baseline or timm:NAME")
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[0, 1, 2],
        metavar="N",
        help="random seeds, a run for each (default: 0 1 2)",
    )
    add_eval_split(parser)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="number of runs at a time (default: 1)")
    parser.add_argument(
        "--samples", type=int, default=0, metavar="N", help="measure FID and KID of N samples of each class"
    )
    parser.add_argument(
        "--features", default="classifier", metavar="NAME", help="features of FID and KID (default: classifier)"
    )
    parser.add_argument("--note", default="", metavar="TEXT", help="remark for readers of the table")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the comparison (default: a new one under runs/)"
    )
    config, other = parser.parse_config(arguments)
    if other.print_config:
        print(config.as_yaml(), end="")
        return
    check_count("samples", other.samples, least=0)
    out = run_folder(other, "compare")
    compare_entries(
        other.names,
        config,
        other.seeds,
        out,
        eval_split=other.eval_split,
        workers=other.workers,
        samples=other.samples,
        features=FeatureConfig(features=other.features),
        note=other.note,
    )
    print((out / "compare.md").read_text(encoding="utf-8"))
    show_folder("folder", out)
